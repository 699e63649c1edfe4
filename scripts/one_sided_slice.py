"""Link the one-sided images of a data set into a new one whose test split is its validation split.

python scripts/one_sided_slice.py data/QaTa-COV19 qata-one-sided

A plant that tells the side needs answers that have one. Kept are images whose caption says
unilateral and whose mask lies to 98 % in one half. Test is the old validation split, so that the
published test images stay unopened; validation is 15 % of the old training subjects.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from causalseg.data.images import read_mask
from causalseg.data.lvit import IMAGE_FOLDER, MASK_FOLDER, read_lvit, split_folder
from causalseg.data.manifest import Record, Split
from causalseg.files import write_csv

ONE_SIDED, VALIDATION = 0.98, 0.15


def one_sided(record: Record) -> bool:
    """Whether caption and mask agree that one half alone is meant."""
    if not record.caption.lower().startswith("unilateral"):
        return False
    mask = read_mask(record.mask)
    left = float(mask[:, : mask.shape[1] // 2].sum() / mask.sum())
    return max(left, 1 - left) >= ONE_SIDED


def link(root: Path, split: Split, records: list[Record]) -> None:
    """Write one split, of links."""
    folder = split_folder(root, split)
    for name in (IMAGE_FOLDER, MASK_FOLDER):
        (folder / name).mkdir(parents=True)
    for record in records:
        os.symlink(record.image.resolve(), folder / IMAGE_FOLDER / record.image.name)
        os.symlink(record.mask.resolve(), folder / MASK_FOLDER / record.mask.name)
    rows = [{"Image": record.name, "Description": record.caption} for record in records]
    write_csv(folder / f"{split.capitalize()}_text.csv", rows)
    print(f"{split}: {len(records)} images of {len({r.subject for r in records})} subjects")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path, help="a folder that does not exist")
    args = parser.parse_args()
    old: list[Split] = ["train", "val"]
    train, val = ([r for r in read_lvit(args.root, s).records if one_sided(r)] for s in old)
    subjects = np.random.default_rng(0).permutation(sorted({str(r.subject) for r in train}))
    held = set(subjects[: round(VALIDATION * len(subjects))])
    link(args.out, "train", [r for r in train if str(r.subject) not in held])
    link(args.out, "val", [r for r in train if str(r.subject) in held])
    link(args.out, "test", val)


if __name__ == "__main__":
    main()
