"""What is uploaded to the Hugging Face Hub, by `byorn train` and `byorn push`."""

from dataclasses import dataclass

from byorn.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class HubSpec:
    """Hugging Face Hub (nothing is uploaded unless you ask)."""

    push_to_hub: str | None = setting(
        None, help="upload the adapter and its card when training is done", metavar="OWNER/NAME"
    )
    hub_private: bool = setting(False, help="make a new repository private")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class PushSpec:
    """What is uploaded, and where to."""

    adapter: str = setting(help="adapter folder of a run", metavar="DIR")
    to: str = setting(help="repository on the Hub", metavar="OWNER/NAME")
    private: bool = setting(False, help="make a new repository private")

    def __post_init__(self) -> None:
        check_settings(self)
