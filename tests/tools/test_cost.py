import pytest


def test_a_row_for_every_block(tool_here):
    said = tool_here("cost", "--head", "lraspp", "--size", "1025", "2049")
    assert "backbone.blocks.14" in said and "80x65x129" in said
    assert "parameters 1,507,198" in said and "9,533.21 M multiply-adds" in said


def test_a_row_for_every_layer(tool_here):
    said = tool_here("cost", "--backbone", "v3-small", "--head", "classifier", "--every-layer", "--size", "64", "64")
    assert "backbone.blocks.3.depthwise.conv" in said and "5x5 depthwise, stride 2" in said and "linear" in said


@pytest.mark.slow
def test_rows_of_the_papers(tool_here, monkeypatch):
    from tasks import paper_costs

    rows = [row for row in paper_costs.PAPER_ROWS if row.note or row.scales != (1.0,) or row.madds in (None, 9740)]
    monkeypatch.setattr(paper_costs, "PAPER_ROWS", rows)
    said = tool_here("cost", "--all")
    assert all(row.name in said and row.note in said for row in rows)
    assert "9533.21" in said and "-2.1 %" in said and "152334.64" in said


def test_mistakes_are_one_line(tool_here):
    assert "--size: Expected a tuple with 2 elements" in tool_here("cost", "--size", "big", succeeds=False)
    assert "--size 0 3 is not in 1 to 4096" in tool_here("cost", "--size", "0", "3", succeeds=False)
    assert "--classes 0 is not in 1 to" in tool_here("cost", "--classes", "0", succeeds=False)
    said = tool_here("cost", "--head", "ssdlite", "--auxiliary", "0.4", succeeds=False)
    assert "--auxiliary is for segmentation heads, not for --head ssdlite" in said
    said = tool_here("cost", "--backbone", "v1", "--rf2", "true", succeeds=False)
    assert 'v1 has no option "rf2" (it has width, ' in said
    said = tool_here("cost", "--backbone", "timm:swin_tiny_patch4_window7_224", "--size", "256", "256", succeeds=False)
    assert "is made for images of 224x224 and cannot take 256x256: give it its size (--crop 224 224 of" in said
    assert 'did you mean "lraspp"' in tool_here("cost", "--head", "lrasp", succeeds=False)
    assert 'did you mean "v3-small"' in tool_here("cost", "--backbone", "v3-smal", succeeds=False)
