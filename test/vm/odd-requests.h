/* Requests that a strict reader refuses, and some that would make one take this guest for another. */
static const char *const FORMS[] = {
    "GET /v1/%73ecrets HTTP/1.1\r\n\r\n", "GET /v1/%2e%2e/v1/secrets HTTP/1.1\r\n\r\n", "GET //v1/secrets HTTP/1.1\r\n\r\n", "GET /v1//secrets HTTP/1.1\r\n\r\n",
    "GET /v1/secrets/ HTTP/1.1\r\n\r\n", "GET /../.secrets/canary HTTP/1.1\r\n\r\n", "GET http://vm-2/v1/secrets HTTP/1.1\r\nhost: vm-2\r\n\r\n", "GET * HTTP/1.1\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\n\r\n", "CONNECT vm-2:901 HTTP/1.1\r\nhost: vm-2\r\n\r\n", "GET /v1/secrets HTTP/1.0\r\n\r\n", "GET /v1/secrets\r\n\r\n", "GET /v1/secrets HTTP/2.0\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "get /v1/secrets http/1.1\r\n\r\n", "GET /v1/secrets?wait&vm=vm-2 HTTP/1.1\r\n\r\n", "GET /v1/secrets#vm-2 HTTP/1.1\r\n\r\n",
    "GET /v1/secrets HTTP/1.1\r\nx-forwarded-for: vm-2\r\nforwarded: for=vm-2\r\nx-real-ip: 127.0.0.1\r\nhost: vm-2\r\n\r\n",
    "GET /v1/secrets HTTP/1.1\r\nx-slicer-vm: vm-2\r\nx-vm: vm-2\r\ncid: 3\r\n\r\n", "GET /v1/secrets HTTP/1.1\r\nauthorization: Bearer\r\n\r\n", "GET /v1/secrets HTTP/1.1\r\nauthorization: Basic cm9vdDpyb290\r\n\r\n",
    "GET /v1/secrets HTTP/1.1\r\nauthorization: Bearer undefined\r\n\r\n", "GET /v1/secrets HTTP/1.1\r\nauthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n",
    "POST /v1/report HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", "POST /v1/report HTTP/1.1\r\ncontent-length: 5, 5\r\n\r\nhello", "POST /v1/report HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    "POST /v1/report HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", "POST /v1/report HTTP/1.1\r\ncontent-length: 0x10\r\n\r\n", "POST /v1/report HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/report HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nauthorization: Bearer a\r\n\r\n", "POST /v1/report HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/report HTTP/1.1\r\ntransfer-encoding:\tchunked\r\n\r\n0\r\n\r\n", "POST /v1/report HTTP/1.1\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n", "POST /v1/hello HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
    "GET /v1/secrets HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", "GET /v1/secrets HTTP/1.1\r\n folded: x\r\n\r\n", "GET /v1/secrets HTTP/1.1\nhost: x\n\n", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "GET /v1/secrets HTTP/1.1\r\na b: c\r\n\r\n", "GET /v1/secrets HTTP/1.1\r\n: c\r\n\r\n", "DELETE /v1/secrets HTTP/1.1\r\n\r\n", "TRACE /v1/secrets HTTP/1.1\r\nx: y\r\n\r\n", "GET /secrets HTTP/1.1\r\n\r\n", "GET /openapi.json HTTP/1.1\r\n\r\n",
};
