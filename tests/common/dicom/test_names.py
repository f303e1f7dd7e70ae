"""A name is found by whatever part of it, in whatever writing, a person types."""

from __future__ import annotations

import pytest

from common.dicom.names import (
    MAX_GRAM_CHARACTERS,
    MAX_GRAMS,
    name_grams,
    query_grams,
    sound,
    sounding_like,
)


def finds(query: str, name: str) -> bool:
    words = query_grams(query)
    return bool(words) and set(words) <= set(name_grams(name))


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("王小明^", "王小明"),
        ("王小明^", "小明"),
        ("王^小明", "王小明"),
        ("王^小明", "王"),
        ("王^小明", "wangxiaoming"),
        ("王^小明", "wang xiaoming"),
        ("王^小明", "xiaoming wang"),
        ("王^小明", "wang xiao ming"),
        ("王^小明", "xiaoming"),
        ("王^小明", "wangx"),
        ("王^小明", "wangxiaom*"),
        ("王^小明", "wxm"),
        ("王^小明", "WXM"),
        ("王^小明", "xm"),
        ("王^小明", "w"),
        ("王^小明", "王xm"),
        ("王^小明", "ＷＡＮＧ"),
        ("Wang^XiaoMing=王^小明", "小明 wang"),
        ("Wang^XiaoMing=王^小明", "Wang^XiaoMing"),
        ("Wang^XiaoMing=王^小明", "wangxiaoming"),
        ("Wang^XiaoMing", "xiao ming"),
        ("Wang^XiaoMing", "xiaom"),
        ("Wang^Xiao Ming", "xiaomingwang"),
        ("=王^小明", "ming"),
        ("SMITH^JOHN^^Dr", "smi jo"),
        ("Müller^Jörg", "muller"),
        ("Müller^Jörg", "Jör"),
        ("O'Brien^Pat", "obrien"),
        ("单^雄信", "shan"),
        ("单^雄信", "shanxiongxin"),
        ("单^雄信", "dan"),
        ("曾^国藩", "zengguofan"),
        ("解^缙", "xiejin"),
        ("仇^英", "qiuying"),
        ("万俟^卨", "moqi"),
        ("吕^布", "lvbu"),
        ("吕^布", "lubu"),
        ("吕^布", "lyubu"),
        ("吕^布", "lü bu"),
        ("欧阳^修", "ouyangxiu"),
        ("欧阳^修", "oyx"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "やまだ"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "길동"),
        ("Люкceмбypг", "люк"),
    ],
)
def test_a_name_is_found_by(name, query):
    assert finds(query, name)


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("王^小明", "李"),
        ("王^小明", "明小"),
        ("王^小明", "wangming"),
        ("王^小明", "xiaomin g"),
        ("Wang^XiaoMing", "王"),
        ("Smith^John", "mith"),
        ("Smith^John", "smith jane"),
        ("王^小明", ""),
        ("王^小明", "*?^"),
    ],
)
def test_another_name_is_not(name, query):
    assert not finds(query, name)


def test_words_are_bounded_and_fit_the_column():
    grams = name_grams("单曾解仇查盖朴" * 40 + "^" + "X" * 500)

    assert len(grams) <= MAX_GRAMS
    assert max(map(len, grams)) <= MAX_GRAM_CHARACTERS
    assert len(grams) == len(set(grams))


def test_an_ordinary_name_needs_few_words():
    assert len(name_grams("Wang^XiaoMing=王^小明")) < 60


def test_no_name_has_no_words():
    assert name_grams("") == name_grams("^^=^") == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Smith", "Smyth"),
        ("Catherine", "Katherine"),
        ("Philip", "Filip"),
        ("zhang", "zang"),
        ("lin", "ning"),
        ("xiaoming", "xiaomin"),
        ("lv", "lu"),
    ],
)
def test_words_that_many_write_or_say_alike_sound_the_same(one: str, other: str) -> None:
    assert sound(one) == sound(other)


@pytest.mark.parametrize(("one", "other"), [("zhang", "wang"), ("smith", "jones"), ("li", "liu")])
def test_other_words_do_not(one: str, other: str) -> None:
    assert sound(one) != sound(other)


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Zhang^San=张^三", "san zang"),
        ("=张^三", "章三"),
        ("=张^三", "zangsan"),
        ("Smith^John", "john smyth"),
        ("Müller^Anna", "anna muller"),
    ],
)
def test_a_name_has_a_word_or_a_sound_for_each_word_typed(name: str, typed: str) -> None:
    grams = set(name_grams(name))

    for words, sounds in sounding_like(typed):
        assert grams.issuperset(words) or grams.intersection(sounds)
