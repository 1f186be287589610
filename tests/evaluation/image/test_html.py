"""Parts of the HTML report: prompts are escaped, and curves show their figures."""

import re
from xml.etree import ElementTree

from PIL import Image

from evaluation.image.blocks import Heading, Items, Table, markdown
from evaluation.image.curves import curves
from evaluation.image.figures import Figures
from evaluation.image.html import charts, html, page, pictures
from evaluation.measures import Estimate


def exact(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value)


def test_markdown_and_html_have_the_same_content():
    blocks = [Heading("A & B", 1), "a < b", Items(["one"]), Table(["x", "y"], [["1", "2"]])]
    assert markdown(blocks) == "# A & B\n\na < b\n\n- one\n\n| x | y |\n| --- | --- |\n| 1 | 2 |\n"
    assert [html(block) for block in blocks] == [
        "<h1>A &amp; B</h1>\n",
        "<p>a &lt; b</p>\n",
        "<ul><li>one</li></ul>\n",
        "<table><tr><th>x</th><th>y</th></tr>\n<tr><td>1</td><td>2</td></tr>\n</table>\n",
    ]


def test_prompts_are_escaped_everywhere():
    hostile = "<script>alert(1)</script>"
    shown = page(hostile, [html(hostile), pictures([hostile], {hostile: [Image.new("RGB", (200, 100)), None]})])
    assert "<script" not in shown
    assert shown.count("&lt;script") == 4
    assert shown.count("<img") == 1


def test_a_curve_is_well_formed_and_rises_with_its_measure():
    drawn = ElementTree.fromstring(curves("a < b", {0.5: [(0.1, exact(0)), (0.9, exact(1))], 1.0: [(0.1, exact(0.5))]}))
    lines = [each.attrib["points"] for each in drawn.iter() if each.tag == "polyline"]
    (left, low), (right, high) = (map(float, point.split(",")) for point in lines[0].split(" "))
    assert left < right
    assert low > high  # SVG counts downwards
    assert len(lines) == 2


def test_coinciding_points_are_all_visible():
    drawn = ElementTree.fromstring(curves("kept", {weight: [(0.1, exact(1))] for weight in (0.5, 0.75)}))
    rings = [each.attrib for each in drawn.iter() if each.tag == "circle"]
    assert rings[0] | {"r": ""} == rings[1] | {"r": ""}
    assert float(rings[0]["r"]) > float(rings[1]["r"]) > 0


def test_each_sampler_and_variant_has_its_own_curves_by_w_xi():
    def line(method: str) -> Figures:
        kept = {"pixels": exact(0.5)}
        return Figures(
            method=method,
            category=None,
            prompts=1,
            blocked=0,
            inappropriate=exact(0),
            expected_maximum=0,
            kept=kept,
            meaning=exact(1),
            diversity=None,
            clip_score=None,
        )

    knobs = {"a": ("ddim, coupled", 0.5, 0.1), "b": ("ddim, coupled", 0.25, 0.1), "c": ("euler, coupled", 0.5, 0.1)}
    drawn = charts([line(name) for name in ("plain", "a", "b", "c")], knobs)
    assert drawn.count("<svg") == 4
    assert re.findall(r"w_ξ = ([\d.]+)", drawn) == ["0.25", "0.5", "0.5"]
