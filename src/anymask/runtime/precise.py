"""What of a graph has to stay in float32 where the rest runs in bfloat16."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

INPUTS = ("Parameter", "Const")
CONVOLUTIONS = ("Convolution", "GroupConvolution")
PICKS = ("Gather", "GatherElements", "GatherND")


def mark_exact(xml: Path) -> None:
    """Rewrite a graph's XML with its precise parts marked (see `keep_exact`)."""
    tree = ElementTree.parse(xml)
    keep_exact(tree)
    tree.write(xml, encoding="utf-8")


def keep_exact(tree: "ElementTree.ElementTree[Any]") -> None:
    """Mark, in a graph's XML, what an engine for bf16 is to leave in float32, because eight bits of mantissa ruin it.

    That is all that leads from the inputs to a sine or cosine, whose angles are of many turns; and from the last
    convolution before them to the places at which a map is sampled: those of a GridSample, and those of a deformable
    convolution that was published as arithmetic on floating-point places, rounded down and then picked up.
    """
    layers = {layer.get("id"): layer for layer in tree.iter("layer")}
    sources: dict[str | None, dict[str | None, str | None]] = {number: {} for number in layers}
    for edge in tree.iter("edge"):
        sources[edge.get("to-layer")][edge.get("to-port")] = edge.get("from-layer")

    def leading(to: list[str | None], first: tuple[str, ...]) -> set[str | None]:
        found: set[str | None] = set()
        while to:
            if (number := to.pop()) not in found and layers[number].get("type") not in first:
                found.add(number)
                to.extend(sources[number].values())
        return found

    def of_type(*types: str) -> list[str | None]:
        return [number for number, layer in layers.items() if layer.get("type") in types]

    angles = of_type("Sin", "Cos")
    places = [sources[number]["1"] for number in of_type("GridSample")]
    stop = (*INPUTS, *CONVOLUTIONS)
    picked = leading([sources[number]["1"] for number in of_type(*PICKS)], stop)
    floors = [number for number in picked if layers[number].get("type") == "Floor"]
    exact = leading(angles, INPUTS) | leading(places, stop)
    if floors:
        # The weights of the four neighbours are computed from the same places as their indices, but not through them:
        # all that a place or its whole part goes into, up to where picked values come in, is exact as well.
        roots = leading(floors, stop)
        values = set(of_type(*PICKS, *CONVOLUTIONS, "MatMul"))
        reached, grown = set(roots), True
        while grown:
            grown = False
            for number, inputs in sources.items():
                given = [source for source in inputs.values() if layers[source].get("type") != "Const"]
                if number not in reached and number not in values and given and all(s in reached for s in given):
                    reached.add(number)
                    grown = True
        exact |= reached | picked
    for number in exact:
        info = layers[number].find("rt_info")
        info = ElementTree.SubElement(layers[number], "rt_info") if info is None else info
        ElementTree.SubElement(info, "attribute", {"name": "precise", "version": "0"})
