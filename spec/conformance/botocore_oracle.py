"""Signs requests with botocore's SigV4Auth and SigV4QueryAuth, for botocore_oracle_spec.lua.

Standard input is one JSON object a line, each a request to sign:

  form            "header" or "query"
  method          as given to the signer
  url             without its query
  query           [name, value] pairs in hexadecimal, since they may be any bytes
  headers         [name, value] pairs
  body            in hexadecimal
  access_key_id, secret_access_key, session_token (may be absent), region, service
  time            epoch seconds
  expires_in      seconds, query form only

Standard output is one JSON object a line: first {"botocore": version}, then for each request
canonical_request, string_to_sign, signature, and authorization (header form) or url (query form).

Exits with status 3 where botocore is not installed.
"""

import json
import sys
from datetime import datetime, timezone
from urllib.parse import quote

try:
    import botocore
    from botocore.auth import SigV4Auth, SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError as absent:
    sys.stderr.write(f"{absent}\n")
    sys.exit(3)


def encoded_query(pairs):
    """The query as botocore's own serializer would have put it into the URL.

    SigV4Auth signs the URL's query as it stands, so it has to stand there in canonical encoding.
    """
    return "&".join(
        "=".join(quote(bytes.fromhex(part), safe="-._~") for part in pair)
        for pair in pairs
    )


def aws_request(case):
    url = case["url"]
    if case["query"]:
        url += "?" + encoded_query(case["query"])
    request = AWSRequest(method=case["method"], url=url)
    for name, value in case["headers"]:
        request.headers[name] = value  # adds: a name may come twice
    # add_auth would read the clock here.
    moment = datetime.fromtimestamp(case["time"], timezone.utc)
    request.context["timestamp"] = moment.strftime("%Y%m%dT%H%M%SZ")
    return request


def signer(case):
    credentials = Credentials(
        case["access_key_id"],
        case["secret_access_key"],
        case.get("session_token"),
    )
    scope = (credentials, case["service"], case["region"])
    if case["form"] == "query":
        return SigV4QueryAuth(*scope, expires=case["expires_in"])
    return SigV4Auth(*scope)


def sign(case):
    """The steps of add_auth, one by one, to keep what each of them yields."""
    request, auth = aws_request(case), signer(case)
    auth._modify_request_before_signing(request)
    # Only now, as SigV4QueryAuth would take a body for form fields and move it into the query.
    request.data = bytes.fromhex(case["body"])
    canonical_request = auth.canonical_request(request)
    string_to_sign = auth.string_to_sign(request, canonical_request)
    signature = auth.signature(string_to_sign, request)
    auth._inject_signature_to_request(request, signature)
    answer = {
        "canonical_request": canonical_request,
        "string_to_sign": string_to_sign,
        "signature": signature,
    }
    if case["form"] == "query":
        answer["url"] = request.url
    else:
        answer["authorization"] = request.headers["Authorization"]
    return answer


def main():
    print(json.dumps({"botocore": botocore.__version__}))
    for line in sys.stdin.buffer:
        print(json.dumps(sign(json.loads(line))))


if __name__ == "__main__":
    main()
