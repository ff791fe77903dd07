"""Shared video in the demo region: three police zones, their convention, their authorisation. All marked *demo*."""

from typing import TYPE_CHECKING

from koinon.base.database import Connection
from koinon.base.text import Text
from koinon.demo.region.keys import load_key
from koinon.trust.agreements import (
    Authorisation,
    Convention,
    ConventionParty,
    KeptAtMost,
    Limits,
    MatrixRow,
    NotPassedOn,
    rules_digest,
)

if TYPE_CHECKING:
    from koinon.demo.region.seeding import Seeder

VIDEO = "2026/010"
CONVENTION = "video-protection"
ZONE_WEST = "zone-west"
ZONE_SOUTH = "zone-south"
ZONE_CENTRE = "zone-centre"
ZONES = (ZONE_WEST, ZONE_SOUTH, ZONE_CENTRE)
GROUPS = {ZONE_WEST: "west", ZONE_SOUTH: "south", ZONE_CENTRE: "centre"}
PUBLIC_ORDER = "public_order"
TRAFFIC = "traffic_management"
INVESTIGATION = "investigation"
CRISIS = "crisis_management"
UPKEEP = "camera_upkeep"

# (code, name in three languages, persons: login, name, profiles, language)
ZONE_PARTIES: tuple[tuple[str, Text, tuple[tuple[str, str, tuple[str, ...], str], ...]], ...] = (
    (
        ZONE_WEST,
        Text("Demo-politiezone West", "Zone de police démo Ouest", "Demo police zone West"),
        (
            ("wim", "Wim Demo", ("control_room_operator",), "nl"),
            ("sofie", "Sofie Demo", ("control_room_supervisor",), "nl"),
            ("iris", "Iris Démo", ("investigator",), "fr"),
            ("ivo", "Ivo Demo", ("investigator",), "nl"),
            ("cato", "Cato Demo", ("camera_manager",), "nl"),
            ("pia", "Pia Démo", ("party_manager",), "fr"),
            ("axel", "Axel Demo", ("security_adviser",), "nl"),
        ),
    ),
    (
        ZONE_SOUTH,
        Text("Demo-politiezone Zuid", "Zone de police démo Midi", "Demo police zone South"),
        (
            ("zoe", "Zoé Démo", ("control_room_operator",), "fr"),
            ("rik", "Rik Demo", ("control_room_supervisor", "camera_manager"), "nl"),
            ("hugo", "Hugo Démo", ("security_adviser",), "fr"),
        ),
    ),
    (
        ZONE_CENTRE,
        Text("Demo-politiezone Centrum", "Zone de police démo Centre", "Demo police zone Centre"),
        (
            ("noor", "Noor Demo", ("control_room_operator", "camera_manager"), "nl"),
            ("theo", "Théo Démo", ("security_adviser",), "fr"),
        ),
    ),
)

RULES = Text(
    nl="Beelden worden bekeken voor de openbare orde, het verkeer of een onderzoek, nooit uit nieuwsgierigheid. Wie "
    "kijkt heeft het charter getekend en de opleiding gevolgd. Opnamen verdwijnen na hun termijn. Misbruik leidt tot "
    "schorsing. (demo)",
    fr="Les images sont visionnées pour l'ordre public, la circulation ou une enquête, jamais par curiosité. Qui "
    "visionne a signé la charte et suivi la formation. Les enregistrements disparaissent après leur délai. Tout abus "
    "entraîne la suspension. (démo)",
    en="Images are viewed for public order, traffic or an inquiry, never out of curiosity. Who views has signed the "
    "charter and followed the training. Recordings are gone after their term. Misuse leads to suspension. (demo)",
)


def matrix() -> tuple[MatrixRow, ...]:
    """Who of the zones may do what with the cameras that they share."""
    investigator = Limits(depth_days=30, purposes=(INVESTIGATION,), case=True)
    emergency = Limits(depth_days=1, purposes=(CRISIS,), reason=True, emergency=True)
    return (
        *(
            MatrixRow(profile, "view_live", f"cameras/{group}", Limits(purposes=(PUBLIC_ORDER, TRAFFIC)))
            for profile in ("control_room_operator", "control_room_supervisor")
            for group in GROUPS.values()
        ),
        *(
            MatrixRow(profile, "steer", f"cameras/{group}", Limits(purposes=(PUBLIC_ORDER, TRAFFIC)))
            for profile in ("control_room_operator", "control_room_supervisor")
            for group in GROUPS.values()
        ),
        MatrixRow(
            "control_room_supervisor",
            "view_recording",
            "cameras/*",
            Limits(depth_days=7, purposes=(PUBLIC_ORDER,), case=True),
        ),
        MatrixRow("investigator", "view_recording", "cameras/*", investigator),
        MatrixRow(
            "investigator",
            "export",
            "cameras/*",
            Limits(depth_days=30, purposes=(INVESTIGATION,), case=True, reason=True),
        ),
        MatrixRow(
            "investigator",
            "unmask",
            "cameras/*",
            Limits(depth_days=30, purposes=(INVESTIGATION,), case=True, reason=True, second_person=True),
        ),
        MatrixRow("camera_manager", "mask", "cameras/*", Limits(depth_days=1, purposes=(UPKEEP,))),
        *(
            MatrixRow(profile, action, "cameras/*", emergency)
            for profile in ("control_room_operator", "crisis_coordinator")
            for action in ("view_live", "view_recording", "steer")
        ),
    )


async def agree_on_video(seeder: "Seeder", connection: Connection) -> None:
    """The zones and the operator have signed the convention on video, and the Commission authorised the exchange."""
    members = ("integrator", *ZONES)
    convention = Convention(
        id=CONVENTION,  # type: ignore[arg-type]
        version=1,
        title=Text(
            "Overeenkomst videobescherming (demo)",
            "Convention vidéoprotection (démo)",
            "Convention on video protection (demo)",
        ),
        parties=tuple(
            ConventionParty(seeder.parties[code].id, load_key(seeder.home, f"{code}-convention").key_id)
            for code in members
        ),
        matrix=matrix(),
        valid_from=seeder.today,
        rules_digest=rules_digest(RULES),
        notice_days=90,
        demo=True,
    )
    await seeder.agree(connection, convention, RULES, members)
    first, *others = (seeder.parties[code].id for code in ZONES)
    await seeder.grant(
        connection,
        Authorisation(
            number=VIDEO,  # type: ignore[arg-type]
            title=Text(
                "Uitwisseling van camerabeelden (demo)",
                "Échange d'images de caméras (démo)",
                "Exchange of camera images (demo)",
            ),
            beneficiary=first,
            also_for=tuple(others),
            purposes=(PUBLIC_ORDER, TRAFFIC, INVESTIGATION, CRISIS, UPKEEP),
            resources=seeder.resources(VIDEO),
            actions=("view_live", "view_recording", "export", "steer", "unmask", "mask"),
            conditions=(KeptAtMost(30), NotPassedOn()),
            valid_from=seeder.today,
            valid_until=seeder.until,
            articles=("ordinance of 28 May 2015 (numac 2015031343), art. 10/3-10/11",),
            text=Text(
                "De Commissie machtigt de politiezones om de beelden van elkaars camera's op publiek toegankelijke "
                "plaatsen te bekijken, binnen de matrix van hun overeenkomst. (demo)",
                "La Commission autorise les zones de police à visionner les images de leurs caméras respectives dans "
                "les lieux accessibles au public, dans la matrice de leur convention. (démo)",
                "The Commission authorises the police zones to view the images of each other's cameras at publicly "
                "accessible places, within the matrix of their convention. (demo)",
            ),
            demo=True,
        ),
    )
