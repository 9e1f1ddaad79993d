"""Prompts as people write them, with what they mean: size, colour, shape, motion, background; a dash for what is left open.

Both lists were written before the refiner's rules. TUNED was looked at while they were made, BLIND only counted.
"""

from __future__ import annotations

TUNED = """
a big scarlet ball drifts leftwards over night sky blue | large red circle left navy
tiny green box, going up, black backdrop | small green square up black
Huge yellow triangle falling down against grey! | large yellow triangle down grey
there is a little violet disc that shrinks on brown | small purple circle shrinking brown
please show me an enormous white plus sign orbiting on a dark background | large white cross circling black
a smal purpel trianlge moving rigth on a bakground of grey | small purple triangle right grey
an orange circle | - orange circle - -
blue square slides from left to right | - blue square right -
cyan cross from right to left, navy | - cyan cross left navy
a motionless big red square, dark blue background | large red square still navy
the emerald dot expands on a chocolate background | - green circle growing brown
on a black background there is a small golden cube which rises | small yellow square up black
turquoise pyramid sinking slowly on charcoal | - cyan triangle down grey
a red ball | - red circle - -
a large square circles on a brown background | large - square circling brown
a triangle | - - triangle - -
growing red square | - red square growing -
A LARGE RED CIRCLE MOVING LEFT ON A BLACK BACKGROUND | large red circle left black
a white cross getting bigger and bigger on gray | - white cross growing grey
one gigantic tangerine block, static, jet black behind it | large orange square still black
small crimson x-shaped cross climbing upwards on midnight blue | small red cross up navy
video of a purple circle going round and round, brown backdrop, big | large purple circle circling brown
a green triangle, it is small, it does not move, the background is navy | small green triangle still navy
background: grey. object: large cyan square. motion: down | large cyan square down grey
red circle on black, moving to the right | - red circle right black
a lemon coloured disk floats upward in front of a brown wall | - yellow circle up brown
a massive blue plus grows against black | large blue cross growing black
teal square, leftward motion, tiny | small cyan square left -
big ball, white, dropping, on navy | large white circle down navy
little orange triangle getting smaller, on a gray background | small orange triangle shrinking grey
the shape is a cross; the colour is yellow; it moves down | - yellow cross down -
a dark blue background with a large red triangle moving up | large red triangle up navy
A small sphere in green contracts over black | small green circle shrinking black
purple box standing stil on a brwon background | - purple square still brown
a larg oragne circel movng left on a blak background | large orange circle left black
huge ruby cube revolving around on slate grey | large red square circling grey
a mini white square descending, coffee brown background | small white square down brown
a sapphire circle at rest, black | - blue circle still black
a round red thing travels to the left | - red circle left -
big yellow cross heads right on a dark grey background | large yellow cross right grey
"""

BLIND = """
a wee scarlet square wanders right over black | small red square right black
giant indigo-violet ball swells on grey | large purple circle growing grey
show a cyan triangel that goes up on a navy backgrond, large | large cyan triangle up navy
a little cross, green, rests on dark blue | small green cross still navy
yellow dot circling round a black screen | - yellow circle circling black
the big blue block plummets against a brown backdrop | large blue square down brown
a white triangle shoots up, black sky behind | - white triangle up black
tiny red plus sliding to the left, background grey | small red cross left grey
an orange ball is moving in circles on navy | - orange circle circling navy
large aqua disc dwindles on a black background | large cyan circle shrinking black
humongous green circle heading downward, brown | large green circle down brown
red square does not move at all on grey | - red square still grey
I would like to see a small yellow triangle travelling rightwards on a black background please | small yellow triangle right black
a crimson cross inflating in front of gray | - red cross growing grey
a purple square, moving upwards, over a brown floor, and it is tiny | small purple square up brown
big white ball going down down down on black | large white circle down black
gold cross left on navy blue | - yellow cross left navy
against black, a violet cube rises, large | large purple square up black
a blue trangle frozen in place on a gray backdrop | - blue triangle still grey
an azure circle that gets smaller, small, on brown | small blue circle shrinking brown
a lime green box ascending; backdrop: black | - green square up black
a huge plus-sign in turquoise, drifting left, at night | large cyan cross left -
smal blu disk mooving rigt on browne bakground | small blue circle right brown
a bright red triangle on a dark background sliding right | - red triangle right black
"""


def read(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return pairs of prompt and meaning, a motion in the world's own words."""
    motions = {"still": "standing still"} | {way: f"moving {way}" for way in ("left", "right", "up", "down")}
    rows = []
    for line in text.strip().splitlines():
        prompt, _, meant = line.partition(" | ")
        rows.append((prompt, tuple(motions.get(word, word) for word in meant.split())))
    return rows
