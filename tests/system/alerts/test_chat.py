import email
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from reconciler.core.alerts.alert import AlertStatus, Severity
from reconciler.system.alerts.chat import ChatSender, chat_message
from reconciler.system.alerts.chat_process import without_secrets
from reconciler.system.alerts.sender import SendAccepted, SendFailed
from reconciler.system.alerts.targets import ChatTarget


@pytest.fixture
def url_file(tmp_path):
    path = tmp_path / "chat.url"

    def write(text):
        path.write_text(text)
        path.chmod(0o600)
        return ChatTarget(str(path))

    return write


def test_a_message_says_what_to_know_and_what_to_do(drift):
    message = chat_message(drift(severity=Severity.CRITICAL))
    assert message["title"] == "[critical] tank/a: address 10.0.0.1/24 on eth1"
    assert message["type"] == "failure"
    assert message["body"].splitlines() == [
        "The address 10.0.0.1/24 is missing on eth1.",
        "",
        "resource: Interface/storage0",
        "desired: present",
        "live: absent",
        "since: 2026-01-01T00:00:01.000Z",
        "asked for by: 3f2c1ab00000, by Ada <ada@example.org>, signed by ada@example.org",
        "at: network.yaml:12",
        "remedy: hagit apply",
    ]
    over = chat_message(drift(status=AlertStatus.RESOLVED, ended_s=1_767_225_700.0))
    assert over["title"].startswith("[resolved]")
    assert over["type"] == "success"
    assert "remedy" not in over["body"]


def test_apprise_posts_to_a_web_service(url_file, receiver, drift):
    target = url_file(f"# the chat of the storage people\njson://user:s3cr3tword@127.0.0.1:{receiver.port}/\n")
    assert ChatSender(target).send([drift()]) == SendAccepted()
    (request,) = receiver.requests.got
    assert json.loads(request.body)["title"] == chat_message(drift())["title"]


def test_apprise_sends_mail(url_file, mail_server, drift):
    target = url_file(
        f"mailto://127.0.0.1:{mail_server.port}/?from=hagit@example.org&to=ops@example.org&mode=insecure&format=text"
    )
    assert ChatSender(target).send([drift()]) == SendAccepted()
    (mail,) = mail_server.mails.until(lambda got: len(got) == 1)
    parsed = email.message_from_bytes(mail)
    assert "address 10.0.0.1/24 on eth1" in str(email.header.make_header(email.header.decode_header(parsed["Subject"])))
    assert "ops@example.org" in parsed["To"]
    body = parsed.get_payload(decode=True) or parsed.get_payload(0).get_payload(decode=True)
    assert b"hagit apply" in body


@pytest.mark.parametrize("form", ["", "&format=text", "&format=html", "&format=markdown"])
def test_what_others_wrote_is_text_in_every_form_of_a_mail(url_file, mail_server, drift, form):
    target = url_file(
        f"mailto://127.0.0.1:{mail_server.port}/?from=hagit@example.org&to=ops@example.org&mode=insecure{form}"
    )
    link = '<img src=http://evil.example/x> <a href="http://evil.example/">log in</a>'
    author, subject = f"Op {link}\u202e\x1b[2J @everyone <!here>", "mtu on <b>eth1</b>\r\nBcc: all@example.org"
    alert = replace(drift(), author=author, live="<script>x</script>", subject=subject)
    assert ChatSender(target).send([alert]) == SendAccepted()
    (mail,) = mail_server.mails.until(lambda got: len(got) == 1)
    parsed = email.message_from_bytes(mail)
    assert parsed["Bcc"] is None
    parts = [part for part in parsed.walk() if part.get_content_maintype() == "text"]
    assert parts
    for part in parts:
        text = part.get_payload(decode=True).decode().replace("&nbsp;", " ")
        assert "log in" in text and "\x1b" not in text and "\u202e" not in text
        assert "@everyone" not in text and "<!here" not in text
        if part.get_content_subtype() == "html":
            assert not re.search("<(img|script|a |b>)", text)


def test_a_service_that_refuses_is_explained_without_the_url(url_file, receiver, drift):
    receiver.will_answer(500)
    sent = ChatSender(url_file(f"json://user:s3cr3tword@127.0.0.1:{receiver.port}/tok3n/")).send([drift()])
    assert isinstance(sent, SendFailed)
    assert "json:// URL did not take the message" in sent.why
    for secret in ("s3cr3tword", "tok3n"):
        assert secret not in sent.why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no-such-service://x", "does not understand this no-such-service:// URL"),
        ("# nothing", "0 URLs; one target has one"),
        ("json://a\njson://b", "2 URLs; one target has one"),
    ],
)
def test_files_that_make_no_target_are_explained(url_file, drift, text, why):
    sent = ChatSender(url_file(text)).send([drift()])
    assert isinstance(sent, SendFailed)
    assert why in sent.why


def test_a_url_that_everybody_may_read_is_refused(url_file, tmp_path, drift):
    target = url_file("json://127.0.0.1/")
    (tmp_path / "chat.url").chmod(0o644)
    sent = ChatSender(target).send([drift()])
    assert isinstance(sent, SendFailed)
    assert "others may read" in sent.why


def test_without_the_library_it_says_how_to_get_it():
    code = """
import sys
sys.modules["apprise"] = None    # what an import of a missing module meets
from reconciler.system.alerts.chat_process import send
print(send("json://x", {}))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "the library for mail and chat is missing; run: pip install 'hagit[chat]'\n"


def test_the_agent_never_loads_apprise():
    code = """
import sys
import reconciler.system.alerts.delivery, reconciler.agent.metrics, reconciler.system.http.server
print([name for name in ("apprise", "requests", "yaml", "urllib3", "asyncio") if name in sys.modules])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"


def test_secrets_are_blanked_in_every_spelling():
    url = "mailtos://user%40x:p%2Fss@host.example/room?token=abc123"
    for text in ("user%40x", "user@x failed", "p%2Fss", "host.example", "abc123"):
        blanked = without_secrets(text, url)
        assert "***" in blanked
