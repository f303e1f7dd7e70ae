"""A consultation between two hospitals, in Chinese, in two browsers; the pages of an institution's administrator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from hospitals.models import Endpoint
from sharing.models import Consultation, Quarantined, Study
from sharing.permissions import forget_sights
from tests.support.browsing import PHONE, WIDE, Reader, reading
from tests.support.consulting import PASSWORD, Hospitals, make_hospitals
from tests.support.pages import Province, make_province

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def place(settings: Any, tmp_path: Path) -> Hospitals:
    settings.DATA_DIR = tmp_path
    return make_hospitals()


def client_of(user: Any) -> Client:
    forget_sights()
    client = Client(headers={"Accept-Language": "zh-hans"})
    client.force_login(user)
    return client


def judged(reader: Reader, name: str) -> None:
    reader.shoot(name)
    assert reader.judge() == [], name


def test_the_county_asks_and_the_university_answers(
    chromium: Any, live_server: Any, axe: Any, place: Hospitals
) -> None:
    url = live_server.url
    with (
        reading(chromium, client_of(place.asker), url, width=PHONE, axe=axe) as asker,
        reading(chromium, client_of(place.neuro), url, width=WIDE, axe=axe) as adviser,
    ):
        # The clinician, on a phone, from the study's page.
        asker.open("/studies/county/1.2.1/")
        asker.page.get_by_role("link", name="申请会诊").click()
        asker.page.get_by_label("医院", exact=True).select_option("university")
        asker.page.get_by_role("button", name="继续").click()
        asker.page.get_by_label("整个科室").check()
        asker.page.get_by_label("会诊问题").fill("左侧基底节区低密度影，是否为新发梗死？")
        asker.page.get_by_label("病情摘要").fill("男，67岁，突发右侧肢体无力6小时。")
        asker.page.get_by_label("紧急程度").select_option("emergency")
        judged(asker, "consult-new-390")
        asker.page.get_by_role("button", name="提交申请").click()
        asker.page.wait_for_url("**/consultations/*/")
        judged(asker, "consult-asked-390")

        # The radiologist, at a workstation: the navigation counts it; the study opens.
        adviser.open("/")
        entry = adviser.page.get_by_role("link", name="远程会诊")
        assert "1" in entry.inner_text()
        entry.click()
        judged(adviser, "consult-inbox-1440")
        adviser.page.get_by_role("link", name="左侧基底节区低密度影").click()
        adviser.page.get_by_role("button", name="接受").click()
        adviser.page.get_by_role("link", name="王达").click()
        adviser.page.wait_for_url("**/studies/county/1.2.1/")
        assert "王达" in adviser.page.locator("h1").inner_text()
        adviser.page.go_back()
        adviser.page.get_by_role("textbox", name="留言").fill("请补充发病时间。")
        adviser.page.get_by_role("button", name="发送").click()

        # The other side sees it without doing anything, and answers.
        asker.page.get_by_text("请补充发病时间。").wait_for(timeout=30_000)
        asker.page.get_by_role("textbox", name="留言").fill("今晨6时起病。")
        asker.page.get_by_role("button", name="发送").click()
        adviser.page.get_by_text("今晨6时起病。").wait_for(timeout=30_000)

        # Signed, at the second try: the first password is wrong, and what was typed stays.
        adviser.page.get_by_label("会诊意见", exact=True).fill("考虑左侧基底节区急性脑梗死。")
        adviser.page.get_by_label("建议").fill("建议完善弥散加权成像，尽早溶栓评估。")
        adviser.page.get_by_label("您的密码").fill("not the password")
        adviser.page.get_by_role("button", name="签署").click()
        adviser.page.get_by_text("密码不符。").wait_for()
        adviser.complaints.clear()  # the browser tells of the answer 409
        judged(adviser, "consult-sign-1440")
        adviser.page.get_by_label("您的密码").fill(PASSWORD)
        adviser.page.get_by_role("button", name="签署").click()
        adviser.page.get_by_text("签名已核验").wait_for()
        judged(adviser, "consult-signed-1440")

        asker.open(f"/consultations/{Consultation.objects.get().pk}/")
        assert "考虑左侧基底节区急性脑梗死。" in asker.page.content()
        judged(asker, "consult-answered-390")
        asker.page.get_by_role("link", name="打印会诊意见").click()
        asker.page.wait_for_url("**/print/")
        judged(asker, "consult-print-390")
        asker.page.go_back()
        asker.page.get_by_role("button", name="结束会诊").click()
        asker.page.get_by_text("该会诊已结束").wait_for()

        # The right is over within five seconds.
        adviser.page.wait_for_timeout(5_000)
        answer = adviser.page.goto(url + "/studies/county/1.2.1/")
        assert answer.status == 404
        adviser.complaints.clear()
        adviser.open("/consultations/?box=ended")
        judged(adviser, "consult-ended-1440")
        assert asker.complaints == adviser.complaints == []


@pytest.fixture
def province(settings: Any, tmp_path: Path) -> Province:
    settings.DATA_DIR = tmp_path
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.ALLOW_LOOPBACK_HOSPITALS = True
    return make_province()


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_an_administrator_keeps_the_institution(
    chromium: Any, live_server: Any, axe: Any, province: Province, width: int
) -> None:
    province.client("radiologist")
    client = province.client("institution_admin", language="zh-hans")
    with reading(chromium, client, live_server.url, width=width, axe=axe) as admin:
        admin.open("/hospitals/EAST/")
        admin.page.get_by_role("link", name="接入端点").click()
        admin.page.get_by_label("DICOMweb 基础地址").fill("http://127.0.0.1:9/dicom-web")
        assert not admin.page.get_by_label("密码", exact=True).is_visible()
        admin.page.get_by_label("认证方式").select_option("basic")
        admin.page.get_by_label("用户名").fill("cloud")
        admin.page.get_by_label("密码", exact=True).fill("secret of east")
        admin.page.get_by_label("静默开始").fill("08:00")
        admin.page.get_by_label("静默结束").fill("12:00")
        judged(admin, f"endpoint-form-{width}")
        admin.page.get_by_role("button", name="保存并探测").click()
        admin.page.get_by_text("已保存，但").wait_for(timeout=60_000)
        judged(admin, f"endpoint-{width}")
        assert Endpoint.objects.get(institution=province.east).auth == "basic"

        admin.page.locator("nav.sections").get_by_role("link", name="科室").click()
        admin.page.get_by_label("名称").fill("神经影像组")
        admin.page.get_by_role("button", name="添加").click()
        admin.page.get_by_label("本机构的放射科医师或临床医师").select_option(index=1)
        admin.page.get_by_role("button", name="加入").click()
        admin.page.get_by_role("button", name="移出").wait_for()
        judged(admin, f"departments-{width}")

        admin.page.get_by_role("link", name="评分卡").click()
        judged(admin, f"scorecard-{width}")

        admin.page.locator("nav.sections").get_by_role("link", name="隔离记录").click()
        judged(admin, f"cases-{width}")
        admin.page.get_by_role("link", name="内容未到声明长度即结束").click()
        admin.page.fill("#k-note", "PACS 已重发")
        judged(admin, f"case-{width}")
        admin.page.get_by_role("button", name="作出结论").click()
        admin.page.get_by_text("已结案").first.wait_for()
        assert Quarantined.objects.get().resolution == "rejected"

        uid = province.study.study_instance_uid
        admin.open(f"/studies/EAST/{uid}/")
        admin.page.get_by_text("删除该检查").click()
        admin.page.select_option("#y-reason", "quality")
        admin.page.get_by_role("button", name="删除", exact=True).click()
        admin.page.get_by_role("button", name="恢复").wait_for()
        judged(admin, f"deletions-{width}")
        assert not Study.objects.filter(study_instance_uid=uid).exists()
        assert admin.complaints == []
