"""Other ways to say what a caption says, for testing that a model reads meaning, not a template."""

from causalseg.text.captions import Finding
from causalseg.text.grammar_lung import Lung, LungFinding, reworded
from causalseg.text.grammar_polyp import PolypFinding, PolypPrompt
from causalseg.text.words import number_word


def paraphrases(finding: Finding) -> list[str]:
    """Captions of the same meaning, the other known wording first where there is one."""
    if isinstance(finding, LungFinding):
        return _lung(finding)
    if isinstance(finding, PolypFinding):
        return _polyp(finding)
    if isinstance(finding, PolypPrompt):
        return _prompt(finding)
    place = " ".join(word for word in (finding.row, finding.column) if word)
    if finding.distribution == "around":
        return ["Nuclei lie more densely around.", "There are more nuclei around."]
    if finding.distribution:
        return [
            f"Nuclei are {finding.distribution} distributed.",
            f"The cell nuclei lie {finding.distribution} distributed over the image.",
        ]
    return [f"Nuclei are dense in the {place}.", f"High nuclei density in the {place}."]


def _lung(finding: LungFinding) -> list[str]:
    if finding.absent:
        return ["No infection of the lungs.", "Lungs without infection."]
    lungs = [("left", finding.left), ("right", finding.right)]
    named = [(side, lung) for side, lung in lungs if lung is not None]
    places = " and ".join(_place(side, lung) for side, lung in named)
    texts = [
        f"Pulmonary infection is seen in the {places}.",
        f"Infected lung areas: {', '.join(_place(side, lung) for side, lung in named)}.",
        f"The {places} {'shows' if len(named) == 1 else 'show'} infection.",
    ]
    if all(lung.zones for _, lung in named):
        other = reworded(finding, "lvit" if finding.wording == "sgseg" else "sgseg")
        texts.insert(0, other.compose())
    return texts


def _place(side: str, lung: Lung) -> str:
    if len(lung.zones) in (0, 3):
        return f"whole {side} lung" if lung.zones else f"{side} lung"
    return f"{' and '.join(lung.zones)} {side} lung"


def _polyp(finding: PolypFinding) -> list[str]:
    if finding.absent:
        return ["There is no polyp in the image.", "No polyp."]
    places = " and ".join(f"{row} {column}" for row, column in finding.positions)
    if finding.count == 1:
        return [
            f"A {finding.size} polyp is seen in the {places} of the image.",
            f"One {finding.size} polyp, {places}.",
        ]
    return [
        f"{number_word(finding.count).capitalize()} {finding.size} polyps are seen in the "
        f"{places} of the image.",
        f"Several {finding.size} polyps, {places}.",
    ]


def _prompt(finding: PolypPrompt) -> list[str]:
    places = ", ".join(finding.positions)
    sizes = ", ".join(finding.sizes)
    return [
        f"{number_word(finding.count)} {sizes} {finding.colour} polyp in the {places} of the image",
        f"{sizes} {finding.colour} polyp, {places}",
    ]
