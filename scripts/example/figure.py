"""The girl, put together from her parts, each lit along the edges that face the sun."""

import background
import dress
import face
import hair
from brush import Rim

POSITION = (516, 306)
TILT = -3.0

SUNLIGHT = Rim(3.6, -1.2, "#ffc688", 1.0)
SOFT_SUNLIGHT = Rim(3.2, -1.0, "#ffc688", 0.95)


def figure(canvas):
    behind, body, front, head = (canvas.layer() for _ in range(4))
    with behind.placed(*POSITION, TILT):
        hair.back(behind)
    behind.rim(SUNLIGHT)
    canvas.put(behind)

    with body.placed(*POSITION):
        dress.body(body)
    with front.placed(*POSITION, TILT):
        hair.front(front)
    body.rim(SUNLIGHT, beside=front)
    body.cast(front, -6, 10, "#4b3a80", 0.40)
    canvas.put(body)

    with head.placed(*POSITION, TILT):
        face.face(head, front)
    bare = head.layer()
    bare.put(head)
    head.rim(SOFT_SUNLIGHT, beside=front)
    bare.put(body)
    front.rim(SOFT_SUNLIGHT, beside=bare)
    head.put(front)
    with head.placed(*POSITION, TILT):
        face.eyes(head)
        face.brows(head)
        # Two flowers in her hair.
        for x, y, size, colour in [(-84, -92, 21, "#fdf1e8"), (-108, -62, 16, "#f7b3c2")]:
            background.cosmos_head(head, 10, x, y, size, colour)
    canvas.put(head)
