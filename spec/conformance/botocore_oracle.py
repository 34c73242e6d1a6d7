"""Signs requests with botocore's SigV4Auth and SigV4QueryAuth, for botocore_oracle_spec.lua, and
writes those of AWS IoT's operations with its serializer and its model of the service.

Standard input is one JSON object a line. Those of the form "header" or "query" are requests to sign:

  form            "header" or "query"
  method          as given to the signer
  url             without its query
  query           [name, value] pairs in hexadecimal, since they may be any bytes
  headers         [name, value] pairs
  body            in hexadecimal
  access_key_id, secret_access_key, session_token (may be absent), region, service
  time            epoch seconds
  expires_in      seconds, query form only

Those of the form "operation" are calls. Of the above they have url (of the endpoint), body (the one
to sign, in hexadecimal, as JSON can be written in many ways), credentials, scope and time, and

  operation       its name
  params          [name, value] pairs; a map is a list of pairs, too

Standard output is one JSON object a line: first {"botocore": version, "operations": what its model of
AWS IoT says of those of bulk registration}, then for each request
canonical_request, string_to_sign, signature, and authorization (header form) or url (query form). A
call has the answer of the header form, and what botocore wrote: method, url, body, and where there
is one content_type.

Exits with status 3 where botocore is not installed.
"""

import json
import sys
from datetime import datetime, timezone
from urllib.parse import quote

try:
    import botocore
    from botocore.auth import SigV4Auth, SigV4QueryAuth
    from botocore.awsrequest import AWSRequest, prepare_request_dict
    from botocore.credentials import Credentials
    from botocore.loaders import create_loader
    from botocore.model import ServiceModel
    from botocore.serialize import create_serializer
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


def members(shape):
    """The members of a structure: name, place, type, and whether it is required."""
    found = {}
    for name, member in shape.members.items() if shape else ():
        found[member.serialization.get("name", name)] = [
            member.serialization.get("location", "body"),
            member.type_name,
            name in shape.required_members,
        ]
    return found


class Service:
    """AWS IoT as botocore's model has it."""

    def __init__(self):
        description = create_loader().load_service_model("iot", "service-2")
        self.model = ServiceModel(description, "iot")

    def operations(self):
        found = {}
        for name in self.model.operation_names:
            if name == "RegisterThing" or "ThingRegistrationTask" in name:
                operation = self.model.operation_model(name)
                found[name] = {
                    "method": operation.http["method"],
                    "path": operation.http["requestUri"],
                    "input": members(operation.input_shape),
                    "output": members(operation.output_shape),
                    "errors": {
                        shape.name: shape.metadata["error"]["httpStatusCode"]
                        for shape in operation.error_shapes
                    },
                }
        return found

    def serialize(self, case):
        params = {
            name: dict(value) if isinstance(value, list) else value
            for name, value in case["params"]
        }
        # It validates as the real client does: a call that is refused here ends the program.
        serializer = create_serializer(self.model.metadata["protocol"])
        operation = self.model.operation_model(case["operation"])
        request = serializer.serialize_to_request(params, operation)
        prepare_request_dict(request, endpoint_url=case["url"])
        return request


def call(service, case):
    request = service.serialize(case)
    case = dict(
        case,
        form="header",
        method=request["method"],
        url=request["url"],
        query=[],
        headers=list(request["headers"].items()),
    )
    answer = sign(case)
    answer["method"] = request["method"]
    answer["url"] = request["url"]
    if "Content-Type" in request["headers"]:
        answer["content_type"] = request["headers"]["Content-Type"]
    answer["body"] = request["body"].decode("ascii")
    return answer


def main():
    service = Service()
    about = {"botocore": botocore.__version__, "operations": service.operations()}
    print(json.dumps(about))
    for line in sys.stdin.buffer:
        case = json.loads(line)
        is_call = case["form"] == "operation"
        print(json.dumps(call(service, case) if is_call else sign(case)))


if __name__ == "__main__":
    main()
