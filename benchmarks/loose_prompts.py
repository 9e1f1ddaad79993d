"""Prompts as people write them, with their size, colour, shape, motion and background; a dash for what is left open.

TUNED and BLIND were written before the refiner's rules, by their author; TUNED was looked at while they were made, BLIND
not. FRESH was written after them, to find what they do not read. Right at first sight: 39 of 40, 24 of 24, 25 of 30.
"""  # noqa: E501

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
I would like to see a small yellow triangle travelling rightwards on black please | small yellow triangle right black
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

FRESH = """
A tiny red dot on a dark-blue canvas, drifting slowly to the right. | small red circle right navy
large teal plus moving left-to-right across a charcoal background | large cyan cross right grey
The square is purple and huge, and it grows. Background is brown. | large purple square growing brown
white triangle shrinking in front of black | - white triangle shrinking black
circle, red, small, left, black | small red circle left black
black background small circle red moving down | small red circle down black
on navy a big yellow square goes round and round | large yellow square circling navy
there's a big green ball bouncing up on grey | large green circle up grey
a red square that's getting larger, against brown | - red square growing brown
an extremely small cyan triangle which stays where it is; navy backdrop | small cyan triangle still navy
big orange cross spinning on black | large orange cross - black
a pink circle moving left on a black background | - - circle left black
a red circle on a white background | - red circle - -
red circle and blue square moving right on grey | - red circle right grey
a cat | - - - - -
big yelow squar goin down gray backgrond | large yellow square down grey
LARGE   Blue\tTRIANGLE -- moving UP -- on BLACK!!! | large blue triangle up black
a huge white ball falls from the top to the bottom of a brown screen | large white circle down brown
small purple box, black bg, still | small purple square still black
a greyish background on which a little red triangle is climbing | small red triangle up grey
blue on navy: big circle contracting | large blue circle shrinking navy
blue background, red circle | - red circle - navy
a dark green square moving left on brown | - green square left brown
the large circle is white. it orbits. black behind | large white circle circling black
a large circle circling on navy, cyan | large cyan circle circling navy
an orange shape like a plus, not small but big, moving upward over black | large orange cross up black
a triangle with a red colour that moves neither left nor right, grey background | - red triangle still grey
blue sky, a big white ball rising | large white circle up navy
a red circle crosses the black screen from left to right | - red circle right black
two small green squares moving down on black | small green square down black
"""


def read(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return pairs of prompt and meaning, a motion in the world's own words."""
    motions = {"still": "standing still"} | {way: f"moving {way}" for way in ("left", "right", "up", "down")}
    rows = []
    for line in text.strip().splitlines():
        prompt, _, meant = line.partition(" | ")
        rows.append((prompt, tuple(motions.get(word, word) for word in meant.split())))
    return rows
