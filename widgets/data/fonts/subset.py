"""Makes the font files beside this script out of the full families.

    python3 subset.py INTER_FOLDER JETBRAINS_MONO_FOLDER

The folders hold Inter-{Regular,Medium,SemiBold}.otf (version 3.19) and JetBrainsMono-Regular.ttf (version 2.242).
Needs fonttools 4.38 or later.

What is kept: Latin with Latin Extended-A, Greek, Cyrillic, and the punctuation, arrows, signs and key symbols of technical text.
What is dropped: hints, and the features that would turn `->` or `!=` into other signs.
What is changed: in Inter, the digits are the tabular ones, so that a number that counts does not move its neighbors.
"""

import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

RANGES = [
    (0x0020, 0x007E),  # Basic Latin
    (0x00A0, 0x017F),  # Latin-1, Latin Extended-A
    (0x02C6, 0x02DD),  # spacing accents
    (0x0300, 0x030C),  # combining accents
    (0x0370, 0x03FF),  # Greek
    (0x0400, 0x045F),  # Cyrillic
    (0x0490, 0x0491),
    (0x2000, 0x206F),  # punctuation
    (0x2070, 0x209C),  # superscripts and subscripts
    (0x20AC, 0x20AC),
    (0x2113, 0x2126),  # letter-like signs
    (0x2150, 0x215E),  # fractions
    (0x2190, 0x21FF),  # arrows
    (0x2200, 0x22FF),  # mathematics
    (0x2300, 0x23FF),  # keys
    (0x2500, 0x25FF),  # shapes
    (0x2713, 0x2717),  # check marks
    (0xFFFD, 0xFFFD),
]
KEPT_FEATURES = ["ccmp", "kern", "locl", "mark", "mkmk"]


def with_tabular_digits(font):
    """Lets the digits name the glyphs that the feature `tnum` would put in their place."""
    table = font["GSUB"].table
    lookups = {index for record in table.FeatureList.FeatureRecord if record.FeatureTag == "tnum" for index in record.Feature.LookupListIndex}
    tabular = {}
    for index in sorted(lookups):
        for part in table.LookupList.Lookup[index].SubTable:
            tabular.update(getattr(part, "ExtSubTable", part).mapping)
    for characters in (table.cmap for table in font["cmap"].tables if hasattr(table, "cmap")):
        for digit in map(ord, "0123456789"):
            if digit in characters:  # tables may share one dictionary, hence `get`
                characters[digit] = tabular.get(characters[digit], characters[digit])


def subset(source, name, change=lambda font: None):
    font = TTFont(source / name)
    change(font)
    options = Options()
    options.hinting = False
    options.layout_features = KEPT_FEATURES
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    options.notdef_outline = True
    options.drop_tables += ["DSIG", "MATH"]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=[code for first, last in RANGES for code in range(first, last + 1)])
    subsetter.subset(font)
    target = Path(__file__).parent / name
    font.save(target)
    print(f"{name}: {target.stat().st_size // 1024} KiB, {len(font.getBestCmap())} characters")


if __name__ == "__main__":
    inter, mono = map(Path, sys.argv[1:])
    for weight in ["Regular", "Medium", "SemiBold"]:
        subset(inter, f"Inter-{weight}.otf", with_tabular_digits)
    subset(mono, "JetBrainsMono-Regular.ttf")
