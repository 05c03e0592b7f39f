"""Four words that people at both controllers compare: 32 bits of what both have agreed on.

Each word stands for one byte. The list is fixed: both controllers must show the same words for the same bytes.
"""

from __future__ import annotations

from typing import Final

_LIST: Final = """
acid actor agent album alley amber anchor angle apple apron arena armor arrow atlas attic audio autumn bacon
badge baker bamboo banjo barrel basket beach beard bench berry bicycle bishop blanket border bottle branch
bread brick bridge bronze brush bucket bullet butter button cabin cable cactus camel camera candle canoe
canvas carbon cargo carpet carrot castle cattle cedar cello chalk cherry chimney circle citrus clay clock
cloud clover coast cobalt coffee comet copper coral cotton cradle crane crayon cricket crown crystal curtain
cymbal dagger daisy dancer delta denim desert diamond dinner doctor dolphin donkey dragon drum eagle easel
echo elbow ember engine envelope falcon farmer feather fender ferry fiddle finger flame flute forest fossil
fountain fox galaxy garden garlic giant ginger glacier glove goat granite grape gravel guitar hammer harbor
harvest hazel helmet hermit hockey honey horizon hornet hotel hunter iceberg igloo insect island ivory jacket
jaguar jasmine jelly jewel jigsaw judge jungle kayak kennel kettle kitchen kitten ladder lagoon lantern laser
lemon leopard letter library lily linen lizard lobster locket lumber magnet mango maple marble market meadow
melon metal mirror monkey mosaic motor mountain museum mustard napkin needle nickel nurse oasis ocean olive
onion orange orbit orchid otter oxygen oyster paddle palace panda paper parrot peach pearl pebble pencil
pepper piano pigeon pilot pirate planet plum pocket polar pony poplar potato prairie prism puzzle python
quartz rabbit radar radio ranger raven ribbon river robin rocket saddle salmon sandal saturn scarf school
shadow shelter silver sparrow spider sponge stadium statue sugar summer sunset tiger tomato tunnel
"""
WORDS: Final = tuple(_LIST.split())
COUNT: Final = 4


def check_words(digest: bytes) -> tuple[str, ...]:
    """The words for the first bytes of a digest."""
    return tuple(WORDS[byte] for byte in digest[:COUNT])
