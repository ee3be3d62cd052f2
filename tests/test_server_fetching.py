"""Pictures from addresses: what must never be asked, and servers that behave badly. Everything is on this machine."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest

from anymask.errors import AnymaskError
from anymask.server.fetching import FetchError, Rules, fetch, is_public, resolve

PICTURE = (Path(__file__).parents[1] / "assets" / "bus.jpg").read_bytes()


class Server:
    """Answers each connection with bytes, or by a function that gets the socket; notes what was asked."""

    def __init__(self, answer: bytes | Callable[[socket.socket], object], tls: ssl.SSLContext | None = None) -> None:
        self.answer, self.tls, self.asked = answer, tls, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.closing = threading.Event()

    def serve(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            if self.closing.is_set():
                connection.close()
                return
            with connection:
                connection.settimeout(10)
                try:
                    if self.tls:
                        connection = self.tls.wrap_socket(connection, server_side=True)
                    with connection:
                        self.asked.append(connection.recv(10_000).decode("latin-1"))
                        if callable(self.answer):
                            self.answer(connection)
                        else:
                            connection.sendall(self.answer)
                except OSError:
                    pass  # the client has gone

    def __enter__(self) -> "Server":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join()
        self.socket.close()


@pytest.fixture
def serve():
    with ExitStack() as stack:
        yield lambda answer, tls=None: stack.enter_context(Server(answer, tls))


def answer(body: bytes = PICTURE, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def redirect(to: str, status: str = "302 Found") -> bytes:
    return answer(b"", status, Location=to)


def here(address) -> bool:
    """What these tests may ask: this machine under one of its addresses, and nothing else of it."""
    return str(address) == "127.0.0.1"


def rules(**changes) -> Rules:
    return Rules(**{"max_bytes": 10_000_000, "seconds": 5, "ports": None, "allowed": here} | changes)


# -- What is fetched -----------------------------------------------------------------------------------------------


def test_a_picture(serve):
    server = serve(answer())
    assert fetch(f"http://127.0.0.1:{server.port}/a/b.jpg?size=5&name=ä#part", rules()) == PICTURE
    lines = server.asked[0].split("\r\n")
    assert lines[0] == "GET /a/b.jpg?size=5&name=%C3%A4 HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines and "Accept-Encoding: identity" in lines


def test_the_name_is_for_the_server_and_the_address_for_the_connection(serve):
    server = serve(answer())
    looked_up = []
    found = fetch(
        f"http://pictures.test:{server.port}/",
        rules(resolver=lambda host, port: looked_up.append((host, port)) or ["127.0.0.1"]),
    )
    assert found == PICTURE and looked_up == [("pictures.test", server.port)]
    assert f"Host: pictures.test:{server.port}\r\n" in server.asked[0]


def test_names_that_are_not_ascii_are_looked_up_as_dns_has_them(serve):
    server = serve(answer())
    looked_up = []
    address = f"http://Bücher.test.:{server.port}/"
    assert fetch(address, rules(resolver=lambda host, port: looked_up.append(host) or ["127.0.0.1"])) == PICTURE
    assert looked_up == ["xn--bcher-kva.test"]


def test_in_pieces_and_without_length(serve):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n"
    assert fetch(f"http://127.0.0.1:{serve(chunked).port}/", rules()) == b"abcdefg"
    endless = b"HTTP/1.0 200 OK\r\n\r\nabc"
    assert fetch(f"http://127.0.0.1:{serve(endless).port}/", rules()) == b"abc"


def test_the_next_address_is_tried_where_one_does_not_answer(serve):
    server = serve(answer())
    both = rules(resolver=lambda *_: ["127.0.0.2", "127.0.0.1"], allowed=lambda address: address.is_loopback)
    assert fetch(f"http://pictures.test:{server.port}/", both) == PICTURE


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirects_are_followed(serve, status):
    end = serve(answer())
    server = serve(redirect(f"//127.0.0.1:{end.port}/ü", status).replace("ü".encode(), "ü x".encode()))
    assert fetch(f"http://127.0.0.1:{server.port}/", rules()) == PICTURE
    assert end.asked[0].startswith("GET /%C3%BC%20x HTTP/1.1")


def test_five_redirects_and_no_more(serve):
    left = [5]

    def onward(connection: socket.socket) -> None:
        left[0] -= 1
        connection.sendall(redirect("/again") if left[0] >= 0 else answer())

    server = serve(onward)
    assert fetch(f"http://127.0.0.1:{server.port}/", rules()) == PICTURE
    left[0] = 6
    with pytest.raises(FetchError, match="more than 5 redirects"):
        fetch(f"http://127.0.0.1:{server.port}/", rules())
    assert len(server.asked) == 12


# -- Which addresses are public ------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808",
                                     "2002:808:808::1"])  # fmt: skip
def test_public(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "203.0.113.5"),
        *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1"),
        *("2001:db8::1", "2001::1", "100::1", "::127.0.0.1", "2606:4700::1%eth0"),
        *("::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::ffff:10.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2002:7f00:1::", "2002:a9fe:a9fe::1"),
    ],
)  # fmt: skip
def test_not_public(address):
    assert not is_public(ip_address(address))


# -- What must not be asked ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "LOCALHOST.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]",
     "[64:ff9b::7f00:1]", "127。0。0。1", "ⓛocalhost"],
)  # fmt: skip
def test_this_machine_is_not_asked(serve, host):
    server = serve(answer())
    with pytest.raises(FetchError, match="is not on the public internet"):
        fetch(f"http://{host}:{server.port}/", Rules(10_000_000, ports=None))
    assert not server.asked


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "017700000001", "1.2.3"])
def test_numbers_that_hide_an_address(serve, host):
    with pytest.raises(FetchError, match="is no host; write an IP address as four decimal numbers"):
        fetch(f"http://{host}/", rules(allowed=lambda _: True))


@pytest.mark.parametrize(
    "to", ["127.0.0.2", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "localhost.test"]
)
def test_a_redirect_does_not_lead_inside(serve, to):
    server = serve(redirect(f"http://{to}:7/latest/meta-data"))
    asked = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if host == "localhost.test" else resolve(host, port)

    with pytest.raises(FetchError, match="is not on the public internet"):
        fetch(f"http://127.0.0.1:{server.port}/", rules(resolver=resolver))
    assert asked == ["127.0.0.1", to.strip("[]")] and len(server.asked) == 1


@pytest.mark.parametrize(
    ("to", "sentence"),
    [
        ("file:///etc/passwd", "begin with http"),
        ("ftp://127.0.0.1/", "begin with http"),
        ("gopher://127.0.0.1/", "begin with http"),
        ("http://2130706433/", "four decimal numbers"),
        ("http://me:secret@127.0.0.1/", "user name or password"),
        ("http://[::1", "cannot be read"),
    ],
)
def test_redirects_are_judged_anew(serve, to, sentence):
    server = serve(redirect(to))
    with pytest.raises(FetchError, match=sentence):
        fetch(f"http://127.0.0.1:{server.port}/", rules())


def test_an_answer_that_changes_between_look_ups(serve):
    """The address that was checked is the one that is asked; a new look-up comes with a new hop, and is checked."""
    good, inside = serve(answer()), []
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    def resolver(host: str, port: int) -> list[str]:
        inside.append(host)
        return answers[len(inside) - 1]

    assert fetch(f"http://changing.test:{good.port}/", rules(resolver=resolver)) == PICTURE
    assert len(inside) == 1 and len(good.asked) == 1
    inside.clear()
    good.answer = redirect("/again")
    with pytest.raises(FetchError, match="is not on the public internet"):
        fetch(f"http://changing.test:{good.port}/", rules(resolver=resolver))
    assert len(inside) == 2 and len(good.asked) == 2


def test_one_address_inside_spoils_the_host(serve):
    server = serve(answer())
    with pytest.raises(FetchError, match=r"^mixed\.test is not on the public internet, and nothing else is fetched\.$"):
        fetch(f"http://mixed.test:{server.port}/", rules(resolver=lambda *_: ["127.0.0.1", "10.0.0.1"]))
    assert not server.asked


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("file:///etc/passwd", "begin with http"),
        ("/etc/passwd", "begin with http"),
        ("http://user@pictures.test/", "user name or password"),
        ("http://@pictures.test/", "user name or password"),
        ("http://pictures.test:22/", r"^Port 22 is not asked; allowed are 80, 443\.$"),
        ("http://pictures.test:99999/", "cannot be read"),
        ("http://pictures.test/a b", "write them as %20"),
        ("http://pictures.test/\r\nHost: inside", "control characters"),
        ("http://pictures.test\\@inside/", "backslashes"),
        ("http:///path", "names no host"),
        ("http://", "names no host"),
        ("http://a..b/", "names no host"),
        ("http://a_b%2f.test/", "names no host"),
        ("http://[fe80::1%25eth0]/", "one network link|cannot be read"),
        ("http://[::1/", "cannot be read"),
        (f"http://pictures.test/{'x' * 9000}", "the most"),
    ],
)
def test_addresses_that_are_none(address, sentence):
    looked_up = []
    with pytest.raises(FetchError, match=sentence) as caught:
        fetch(address, Rules(1000, resolver=lambda *given: looked_up.append(given) or []))
    assert not looked_up and isinstance(caught.value, AnymaskError) and "\n" not in str(caught.value)


def test_unknown_hosts():
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolver in (unknown, lambda *_: [], lambda *_: ["nonsense"]):
        with pytest.raises(FetchError, match=r"^There is no host nowhere\.test\.$"):
            fetch("http://nowhere.test/", rules(resolver=resolver))


def test_proxies_of_the_environment_are_not_asked(serve, monkeypatch):
    server, proxy = serve(answer()), serve(answer(b"proxy"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert fetch(f"http://127.0.0.1:{server.port}/", rules()) == PICTURE and not proxy.asked


# -- Servers that behave badly -------------------------------------------------------------------------------------


def drip(*beginning: bytes) -> Callable[[socket.socket], None]:
    """Sends something, and then a byte every now and then."""

    def answer(connection: socket.socket) -> None:
        for piece in beginning:
            connection.sendall(piece)
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize(
    "beginning",
    [[], [b"HTTP/1.1 200 OK\r\nX-Slow: "], [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"],
     [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n"]],
    ids=["status", "headers", "body", "pieces"],
)  # fmt: skip
def test_a_slow_server_has_as_long_as_everybody(serve, beginning):
    server = serve(drip(*beginning))
    start = time.monotonic()
    with pytest.raises(FetchError, match=r"^127\.0\.0\.1 did not give the file within 0\.4 seconds\.$"):
        fetch(f"http://127.0.0.1:{server.port}/", rules(seconds=0.4))
    assert 0.3 < time.monotonic() - start < 1.5


def test_a_silent_server_and_a_look_up_without_end(serve):
    released = threading.Event()
    for address, resolver in (
        (f"http://127.0.0.1:{serve(lambda connection: released.wait(5)).port}/", resolve),
        ("http://slow.test/", lambda *_: released.wait(5) and ["127.0.0.1"]),
    ):
        start = time.monotonic()
        with pytest.raises(FetchError, match=r"within 0\.3 seconds"):
            fetch(address, rules(seconds=0.3, resolver=resolver))
        assert time.monotonic() - start < 1.5
    released.set()


def test_redirects_share_the_time(serve):
    def slowly(connection: socket.socket) -> None:
        time.sleep(0.2)
        connection.sendall(redirect("/again"))

    server = serve(slowly)
    with pytest.raises(FetchError, match=r"within 0\.5 seconds"):
        fetch(f"http://127.0.0.1:{server.port}/", rules(seconds=0.5))
    assert len(server.asked) <= 3


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5000000\r\n"])
def test_a_body_beyond_the_limit(serve, head):
    sent = [0]

    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        piece = b"x" * 10_000
        while sent[0] < 100_000_000:
            connection.sendall(b"2710\r\n" + piece + b"\r\n" if b"chunked" in head else piece)
            sent[0] += len(piece)

    server = serve(endless)
    with pytest.raises(FetchError, match=r"has more than the 100000 bytes allowed"):
        fetch(f"http://127.0.0.1:{server.port}/", rules(max_bytes=100_000))
    assert sent[0] < 50_000_000, "the transfer ends with the limit, not with the file"


def test_just_as_large_as_allowed(serve):
    server = serve(answer(b"x" * 1000))
    assert len(fetch(f"http://127.0.0.1:{server.port}/", rules(max_bytes=1000))) == 1000
    with pytest.raises(FetchError, match="more than the 999 bytes"):
        fetch(f"http://127.0.0.1:{server.port}/", rules(max_bytes=999))


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (answer(b"gone", "404 Not Found"), r"^127\.0\.0\.1 answered 404\.$"),
        (answer(b"", "500 <script>"), r"^127\.0\.0\.1 answered 500\.$"),
        (answer(b"part", "206 Partial Content"), r"answered 206\.$"),
        (answer(b"", "302 Found"), r"answered 302\.$"),
        (answer(b"", "304 Not Modified", Location="/x"), r"answered 304\.$"),
        (answer(b""), "is empty"),
        (answer(b"zip", Content_Encoding="gzip"), "sent the file compressed"),
        (answer()[:-1000], "broke 1000 bytes before the file's end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", "broke"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "broke"),
        (b"HTTP/1.1 200 " + b"x" * 100_000, "broke"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "broke"),
        (b"", "broke"),
    ],
)
def test_answers_that_are_no_file(serve, sent, sentence):
    server = serve(sent)
    with pytest.raises(FetchError, match=sentence):
        fetch(f"http://127.0.0.1:{server.port}/", rules())


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(FetchError, match=r"^127\.0\.0\.1 cannot be reached \(Connection refused\)\.$"):
        fetch(f"http://127.0.0.1:{port}/", rules())


# -- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A certificate of pictures.test that signs itself, with its key."""
    if not shutil.which("openssl"):
        pytest.skip("making a certificate needs openssl")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pictures.test",
         "-addext", "subjectAltName=DNS:pictures.test", "-keyout", file, "-out", file.with_name("cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_bytes(file.read_bytes() + file.with_name("cert.pem").read_bytes())
    return file


@pytest.fixture
def secure(serve, certificate):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    return serve(answer(), tls)


def test_tls_checks_the_name_and_not_the_address(secure, certificate):
    trusted = rules(resolver=lambda *_: ["127.0.0.1"], tls=ssl.create_default_context(cafile=certificate))
    assert fetch(f"https://pictures.test:{secure.port}/", trusted) == PICTURE
    for host in ("other.test", "127.0.0.1"):
        with pytest.raises(FetchError, match=rf"^The certificate of {host} does not hold \(.*match.*'\)\.$"):
            fetch(f"https://{host}:{secure.port}/", trusted)
    assert len(secure.asked) == 1


def test_tls_needs_an_authority_that_the_system_trusts(secure):
    with pytest.raises(FetchError, match="does not hold"):
        fetch(f"https://pictures.test:{secure.port}/", rules(resolver=lambda *_: ["127.0.0.1"]))
    assert not secure.asked


def test_tls_with_a_server_that_has_none_or_says_nothing(serve):
    name = rules(resolver=lambda *_: ["127.0.0.1"], seconds=0.5)
    with pytest.raises(FetchError, match="cannot be reached"):
        fetch(f"https://pictures.test:{serve(answer()).port}/", name)
    with pytest.raises(FetchError, match=r"within 0\.5 seconds"):
        fetch(f"https://pictures.test:{serve(lambda _: time.sleep(1)).port}/", name)
