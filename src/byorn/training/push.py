"""Upload an exported adapter to the Hugging Face Hub, when the user asks for it: weights, processor and card, and
nothing else that lies in the folder.
"""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, TypeGuard

from byorn.errors import ByornError, ConfigError
from byorn.text import first_line, public_name
from byorn.training.config import output_folder

if TYPE_CHECKING:
    from byorn.training.trainer import ByornTrainer

CARD = "README.md"
CONFIG = "adapter_config.json"
BASE = "base_model_name_or_path"
SETTINGS = {
    CONFIG, "processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json",
    "tokenizer_config.json", "special_tokens_map.json",
}  # fmt: skip
FILES = (
    CARD, CONFIG, "adapter_model.safetensors", "processor_config.json", "preprocessor_config.json",
    "video_preprocessor_config.json", "chat_template.jinja", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model",
)  # fmt: skip


def require_push(name: str) -> None:
    """Refuse, before hours of training, what could not be uploaded after them.

    Raises:
        ConfigError: The name is none that the Hub takes, or nobody is logged in.
    """
    from huggingface_hub import get_token
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ConfigError(f"push_to_hub: {first_line(error)}") from None
    if not get_token():
        raise ConfigError("push_to_hub: nobody is logged in; run `hf auth login`, or set HF_TOKEN")


def push_trained(
    trainer: "ByornTrainer",
    card: Mapping[str, Any],
    *,
    private: bool | None = None,
    token: str | None = None,
    revision: str | None = None,
    message: str | None = None,
) -> str:
    """Export what a trainer has trained to `output_dir/adapter`, with its card, and upload it; returns the address.

    `card` may hold `model_name`, `dataset_name` and `tags`; for the others and the errors see `push_adapter`.
    """
    args = trainer.args
    folder = output_folder(trainer.args) / "adapter"
    name = args.hub_model_id or folder.absolute().parent.name
    trainer.save_model(str(folder))
    if not trainer.is_world_process_zero():
        return name
    known = {key: value for key, value in card.items() if key in ("model_name", "dataset_name", "tags")}
    trainer.create_model_card(**{"model_name": name.rpartition("/")[2], **known})
    (folder.parent / "README.md").replace(folder / "README.md")
    return push_adapter(
        folder, name, private=args.hub_private_repo if private is None else private, token=token or args.hub_token,
        revision=revision, message=message,
    )  # fmt: skip


def push_adapter(
    folder: Path, name: str, *, private: bool | None = None, token: str | None = None, revision: str | None = None,
    message: str | None = None,
) -> str:  # fmt: skip
    """Upload `FILES` of an adapter folder in one commit and return its address; what the Hub has is not sent again.

    Args:
        folder: What training exported.
        name: `owner/name`, or a name of the user's own.
        private: For a repository that is new; None leaves it to the account's default.
        token: Default: that of the login.
        revision: Branch of the repository; default: main.
        message: Of the commit.

    Raises:
        ConfigError: There is no adapter in the folder.
        ByornError: The upload failed; the folder is untouched and the message says how to go on.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    files = [CommitOperationAdd(path, content) for path, content in published(folder).items()]
    message = message or "LoRA adapter trained with byorn"
    try:
        api = HfApi(token=token)
        repository = api.create_repo(name, private=private, exist_ok=True).repo_id
        return str(api.create_commit(repository, files, commit_message=message, revision=revision).repo_url)
    except Exception as error:  # network, rights, quota: whatever it is, the adapter is on disk
        again = f"byorn push --adapter {folder} --to {name}"
        raise ByornError(f"push_to_hub: {first_line(error)}; the adapter is safe, push it again: {again}") from error


def published(folder: Path) -> dict[str, Path | bytes]:
    """The files that are uploaded. None names a folder of this machine: of a path only the last part is told.

    Raises:
        ConfigError: There is no adapter in the folder, or its settings are no JSON.
    """
    files: dict[str, Path | bytes] = {name: folder / name for name in FILES if (folder / name).is_file()}
    if CONFIG not in files:
        raise ConfigError(f"adapter: no {CONFIG} in {str(folder)!r}; give the folder that training exported")
    for name in files.keys() & SETTINGS:
        files[name] = _without_paths(folder / name)
    base = _settings(folder / CONFIG).get(BASE)
    if CARD in files and _is_path(base):
        text = (folder / CARD).read_text(encoding="utf-8")
        files[CARD] = text.replace(base, public_name(base)).encode()
    return files


def _settings(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"adapter: {path}: {first_line(error)}; export the adapter again") from None
    if not isinstance(content, dict):
        raise ConfigError(f"adapter: {path}: it holds no settings; export the adapter again")
    return content


def _without_paths(path: Path) -> Path | bytes:
    """The file itself, or its content with the last part of each path in place of it."""
    content = _settings(path)
    public = {key: _public(key, value) for key, value in content.items()}
    return path if public == content else json.dumps(public, indent=2).encode()


def _public(key: str, value: object) -> object:
    if isinstance(value, dict):
        return {inner: _public(inner, entry) for inner, entry in value.items()}
    return public_name(value) if _is_path(value, key) else value


def _is_path(value: object, key: str = "") -> TypeGuard[str]:
    """Names of models may be relative paths too; of other texts, absolute paths of at least two parts are meant."""
    if not isinstance(value, str):
        return False
    windows, here = PureWindowsPath(value), PurePosixPath(value)
    return key.endswith("name_or_path") or ((windows.drive != "" or here.is_absolute()) and len(windows.parts) > 2)
