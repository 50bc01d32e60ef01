def test_a_row_for_every_block(tool_here):
    said = tool_here("profile", "--head", "lraspp", "--size", "1025x2049")
    assert "backbone.blocks.14" in said and "80x65x129" in said
    assert "parameters 1,507,198" in said and "9,533.21 M multiply-adds" in said


def test_a_row_for_every_layer(tool_here):
    said = tool_here("profile", "--backbone", "v3-small", "--head", "classifier", "--every-layer", "--size", "64")
    assert "backbone.blocks.3.depthwise.conv" in said and "5x5 depthwise, stride 2" in said and "linear" in said


def test_every_row_of_the_papers(tool_here):
    from tasks.costs import PAPER_ROWS

    said = tool_here("profile", "--all")
    assert all(row.name in said for row in PAPER_ROWS)
    assert "9533.21" in said and "-2.1 %" in said


def test_mistakes_are_one_line(tool_here):
    assert "HEIGHTxWIDTH" in tool_here("profile", "--size", "big", succeeds=False)
    assert 'did you mean "lraspp"' in tool_here("profile", "--head", "lrasp", succeeds=False)
    assert 'did you mean "v3-small"' in tool_here("profile", "--backbone", "v3-smal", succeeds=False)
