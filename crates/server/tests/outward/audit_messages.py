"""Reads DICOM audit messages, one a line, with Python's XML parser, and holds them against PS3.15 A.5.1: which elements and
attributes there have to be, in which order, and which there may be."""

import base64
import sys
import xml.etree.ElementTree as ET

CODE = {"csd-code", "codeSystemName", "originalText"}
# element: (required attributes, optional attributes, children in their order)
SCHEMA = {
    "AuditMessage": (set(), set(), ["EventIdentification", "ActiveParticipant", "AuditSourceIdentification",
                                    "ParticipantObjectIdentification"]),
    "EventIdentification": ({"EventDateTime", "EventOutcomeIndicator"}, {"EventActionCode"},
                            ["EventID", "EventTypeCode", "EventOutcomeDescription"]),
    "ActiveParticipant": ({"UserID", "UserIsRequestor"},
                          {"AlternativeUserID", "UserName", "NetworkAccessPointID", "NetworkAccessPointTypeCode"},
                          ["RoleIDCode", "MediaIdentifier"]),
    "AuditSourceIdentification": ({"AuditSourceID"}, {"AuditEnterpriseSiteID"}, ["AuditSourceTypeCode"]),
    "ParticipantObjectIdentification": (
        {"ParticipantObjectID", "ParticipantObjectTypeCode"},
        {"ParticipantObjectTypeCodeRole", "ParticipantObjectDataLifeCycle", "ParticipantObjectSensitivity"},
        ["ParticipantObjectIDTypeCode", "ParticipantObjectName", "ParticipantObjectQuery", "ParticipantObjectDetail",
         "ParticipantObjectDescription"]),
    "ParticipantObjectDetail": ({"type", "value"}, set(), []),
    "ParticipantObjectName": (set(), set(), []),
    "ParticipantObjectQuery": (set(), set(), []),
    "EventOutcomeDescription": (set(), set(), []),
}
for coded in ["EventID", "EventTypeCode", "RoleIDCode", "ParticipantObjectIDTypeCode"]:
    SCHEMA[coded] = (CODE, {"displayName"}, [])


def check(element, seen):
    required, optional, children = SCHEMA[element.tag]
    names = set(element.attrib)
    assert required <= names <= required | optional, (element.tag, names)
    places = [children.index(child.tag) for child in element]
    assert places == sorted(places), (element.tag, [child.tag for child in element])
    for child in element:
        check(child, seen)
    if element.tag == "EventIdentification":
        assert element.get("EventOutcomeIndicator") in {"0", "4", "8", "12"}
        assert element.get("EventActionCode") in set("CRUDE")
        seen.add(element.find("EventID").get("csd-code"))
    if element.tag == "ParticipantObjectDetail":
        base64.b64decode(element.get("value"), validate=True)


count, seen = 0, set()
with open(sys.argv[1], encoding="utf-8") as messages:
    for line in messages:
        message = ET.fromstring(line)
        assert message.tag == "AuditMessage"
        assert len(message.findall("EventIdentification")) == 1
        assert len(message.findall("AuditSourceIdentification")) == 1
        assert len(message.findall("ActiveParticipant")) >= 1
        check(message, seen)
        count += 1
assert count > 500, count
print(f"{count} audit messages, of the kinds {sorted(seen)}")
