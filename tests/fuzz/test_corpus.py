"""Every hostile image and every hostile text, one by one."""

import json

import pytest
from hostile import IMAGES, TEXTS
from judge import NewFolder, judge

SOUND = {"prompt": "Look", "completion": "A box."}


@pytest.mark.parametrize("name", IMAGES)
def test_every_hostile_image(name, tmp_path):
    (tmp_path / "a.png").write_bytes(IMAGES[name]())
    rows = [SOUND, {**SOUND, "image": "a.png"}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    for mode in ("decode", "header"):
        judge(tmp_path / "rows.json", verify_images=mode)


@pytest.mark.parametrize("name", TEXTS)
def test_every_hostile_text_in_every_place(name, new_folder: NewFolder):
    text = TEXTS[name]
    places = ("prompt", "completion", "image", "id", text, "system", "turn")
    with new_folder() as folder:
        (folder / "rows.json").write_text(json.dumps([SOUND, *({**SOUND, place: text} for place in places)]))
        judge(folder / "rows.json")
        judge(folder / "rows.json", format=text)
        judge(folder / "rows.json", split=text or "train")
        judge(folder, name=text)
