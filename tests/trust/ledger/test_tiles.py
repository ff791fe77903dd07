import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import Invalid
from koinon.trust.ledger import merkle, tiles
from koinon.trust.ledger.merkle import ProofError
from koinon.trust.ledger.tiles import Bundle, Tile

LEAVES = [merkle.leaf_hash(b"%d" % n) for n in range(70_000)]
TREE = merkle.Tree(LEAVES)


def tile_data(tile: Tile) -> bytes:
    """C2SP tlog-tiles, word for word: MTH(D[(n * 256 + i) * 256**l : (n * 256 + i + 1) * 256**l])."""
    first = tile.index * 256
    return b"".join(TREE.node(8 * tile.level, first + i) for i in range(tile.width))


def fetcher(read: list[Tile]):
    async def fetch(tile: Tile) -> bytes:
        read.append(tile)
        return tile_data(tile)

    return fetch


@pytest.mark.parametrize(
    ("index", "path"),
    [(0, "000"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067"), (67, "067")],
)
def test_paths_are_written_three_digits_at_a_time(index, path):
    assert Tile(3, index).path == f"tile/3/{path}"
    assert Tile(0, index, 5).path == f"tile/0/{path}.p/5"
    assert Bundle(index).path == f"tile/entries/{path}"
    assert Bundle(index, 255).path == f"tile/entries/{path}.p/255"


def test_the_example_of_the_specification_has_the_tiles_that_it_lists():
    found = list(tiles.tiles_of(70_000))
    assert [t for t in found if t.level == 0] == [Tile(0, n) for n in range(273)] + [Tile(0, 273, 112)]
    assert [t for t in found if t.level > 0] == [Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert list(tiles.tiles_of(256)) == [Tile(0, 0), Tile(1, 0, 1)]


@given(st.integers(0, 70_000), st.integers(0, 70_000))
def test_a_growing_tree_publishes_exactly_what_it_did_not_have(a, b):
    since, size = sorted((a, b))
    assert set(tiles.tiles_of(size, since)) == set(tiles.tiles_of(size)) - set(tiles.tiles_of(since))
    assert set(tiles.bundles_of(size, since)) == set(tiles.bundles_of(size)) - set(tiles.bundles_of(since))


@given(st.integers(1, 70_000), st.data())
async def test_proofs_from_tiles_are_those_from_the_whole_tree_and_read_only_what_they_need(size, data):
    index = data.draw(st.integers(0, size - 1))
    older = data.draw(st.integers(0, size))
    read: list[Tile] = []
    assert await tiles.prove_inclusion(index, size, fetcher(read)) == merkle.inclusion_proof(
        TREE, index, size
    )
    assert len(read) <= 6 and set(read) <= set(tiles.tiles_of(size))
    read.clear()
    proof = await tiles.prove_consistency(older, size, fetcher(read))
    assert proof == merkle.consistency_proof(TREE, older, size)
    assert len(read) <= 6 and set(read) <= set(tiles.tiles_of(size))
    assert await tiles.root_from_tiles(size, fetcher(read)) == TREE.root(size)


async def test_a_tile_that_is_too_short_gives_no_proof():
    async def fetch(tile: Tile) -> bytes:
        return tile_data(tile)[:-32]

    with pytest.raises(ProofError):
        await tiles.prove_inclusion(3, 300, fetch)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_gives_back_its_entries(entries):
    packed = tiles.pack_bundle(entries)
    assert tiles.unpack_bundle(packed) == entries
    if packed:
        with pytest.raises(Invalid) as refusal:
            tiles.unpack_bundle(packed + b"\0")
        assert refusal.value.code == "bundle_malformed"


def test_a_bundle_cut_off_is_refused():
    packed = tiles.pack_bundle([b"abc", b"defg"])
    for cut in (1, 3, 4, 6, len(packed) - 1):
        with pytest.raises(Invalid) as refusal:
            tiles.unpack_bundle(packed[:cut])
        assert refusal.value.code == "bundle_malformed"
