"""Program folders: a program on disk with its data, in one of two formats.

``standalone-vta`` is what VTA's stand-alone functional simulator reads: files of fixed names and
absolute addresses that follow from the files' sizes. ``raw`` is base-relative: each section may be
placed anywhere, and a relocation table says which instructions to change. Both carry a manifest;
the stand-alone format is read without one, too.

In: a `Program` with packed tensors. Out: the bytes of each file (`writing`), and back (`reading`);
`files` and `manifest` say what lies where, `relocation` moves sections. Imports `isa` only.
"""

from isa.folder.files import FILES, MANIFEST, RELOCATIONS
from isa.folder.reading import Folder, read, read_instructions, stored_instructions
from isa.folder.writing import contents

__all__ = [
    "FILES",
    "MANIFEST",
    "RELOCATIONS",
    "Folder",
    "contents",
    "read",
    "read_instructions",
    "stored_instructions",
]
