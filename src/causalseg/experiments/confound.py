"""Plant a confounder whose place is known, train against it, and see who still finds the lesion."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from causalseg.data.lvit import read_lvit
from causalseg.data.planted import PlantSpec, Tie, plant_dataset, read_tie
from causalseg.data.twins import make_twins, question_of
from causalseg.experiments.confound_config import ROWS, ConfoundConfig, confound_cells
from causalseg.experiments.confound_data import PlantedDataModule
from causalseg.experiments.confound_measures import measure_plants, plant_sheet
from causalseg.experiments.confound_report import write_confound
from causalseg.experiments.confound_table import PER_IMAGE, RESULT, ConfoundTable, tabulate_confound
from causalseg.experiments.grid import CHECKPOINT, Say, Task, parse_seeds, run_grid, tasks_of
from causalseg.files import check_folder, write_bytes, write_csv, write_json
from causalseg.inference.outputs import png_bytes
from causalseg.inference.segmenter import Segmenter

SHEET = "plants.png"


def run_confound(config: ConfoundConfig, say: Say = print) -> ConfoundTable:
    """Run the unfinished part of a grid; the tables are updated after each run.

    Args:
        config: what the grid is made of.
        say: called with a line about each step.

    Raises:
        InputError: rows, plants, data or options cannot be used, or the folder holds runs made
            with other options.

    """
    study = Confound(config)
    run_grid(study.tasks, study.out, study, say)
    return study.report()


class Confound:
    """Planted copies of one data set for each data seed and strength, and all rows on them."""

    done = RESULT

    def __init__(self, config: ConfoundConfig) -> None:
        self.config, self.out = config, check_folder(Path(config.out))
        self.tasks = tasks_of(confound_cells(config), parse_seeds(config.seeds))
        self._ties: dict[int, Tie] = {}

    def settings(self, task: Task) -> dict[str, Any]:
        """The run's config, what is planted into what, and what scoring depends on."""
        names = ("plant", "predicts", "twins", "hide_words", "test_limit")
        own = {name: getattr(self.config, name) for name in names}
        own["strength"] = self._strength(task)
        return task.settings() | own | {"data_seed": self._data_seed(task)}

    def training(self, task: Task) -> PlantedDataModule:
        """The planted training and validation split, as the row wants them."""
        seed, strength = self._data_seed(task), self._strength(task)
        clean, spec = self._clean(seed), self._spec(seed)
        root = self.out / "data" / f"seed{seed}" / f"p{strength:g}"
        if not root.exists():
            plant_dataset(clean, root, spec, strength, hide_words=self.config.hide_words)
        wanted = replace(task.run(Path()).data, root=str(root))
        return PlantedDataModule(wanted, ROWS[task.cell.values["row"]], clean, spec)

    def score(self, task: Task, folder: Path) -> None:
        """The measures of every test image, and a picture of some."""
        seed = self._data_seed(task)
        clean, spec = self._clean(seed), self._spec(seed)
        segmenter = Segmenter.load(folder / CHECKPOINT, device=self.config.device)
        manifest = read_lvit(clean, "test").limit(self.config.test_limit)
        what = (segmenter, manifest, spec, self._tie(seed))
        rows = measure_plants(*what, hide_words=self.config.hide_words)
        write_csv(folder / PER_IMAGE, rows)
        write_bytes(folder / SHEET, png_bytes(plant_sheet(*what)))
        columns = [name for name in rows[0] if name not in ("name", "subject")]
        values = {c: [row[c] for row in rows if row.get(c, "") != ""] for c in columns}
        write_json(
            folder / RESULT,
            {
                **task.cell.values,
                "seed": task.seed,
                "data_seed": seed,
                "images": len(rows),
                "fingerprint": manifest.fingerprint(),
                "threshold": segmenter.threshold,
                "means": {c: float(np.mean(v)) for c, v in values.items() if v},
            },
        )

    def report(self) -> ConfoundTable:
        """Write table.json, table.md, per_image.csv and report.html from the finished runs."""
        folders = [t.folder(self.out) for t in self.tasks]
        finished = [folder for folder in folders if (folder / RESULT).exists()]
        table = tabulate_confound(
            finished,
            plant=self.config.plant,
            predicts=self.config.predicts,
            runs_planned=len(folders),
            resamples=self.config.resamples,
        )
        sheets = {
            task.cell.name: folder / SHEET
            for task, folder in zip(reversed(self.tasks), reversed(folders), strict=True)
            if folder in finished
        }
        write_confound(self.out, table, {c.name: sheets[c.name] for c in table.cells})
        return table

    def _strength(self, task: Task) -> float:
        return float(task.cell.values["strength"])

    def _data_seed(self, task: Task) -> int:
        return self.config.data_seed(task.seed)

    def _spec(self, seed: int) -> PlantSpec:
        return PlantSpec(self.config.plant, self.config.predicts, seed)

    def _clean(self, seed: int) -> Path:
        """The data set that is planted into."""
        if not self.config.twins:
            return Path(self.config.data.root)
        root = self.out / "data" / f"seed{seed}" / "clean"
        if not root.exists():
            question = question_of(self.config.predicts)
            make_twins(root, self.config.twins, seed, self.config.data.size, question)
        return root

    def _tie(self, seed: int) -> Tie:
        if seed not in self._ties:
            self._ties[seed] = read_tie(self._clean(seed), self.config.predicts)
        return self._ties[seed]
