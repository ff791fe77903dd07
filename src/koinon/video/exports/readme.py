"""What stands in every package beside its files, for people who do not know us."""

from typing import Final

README: Final = """\
NEDERLANDS
Dit pakket bevat camerabeelden die via Koinon werden uitgevoerd. manifest.json zegt van welke camera's en welke tijd
zij zijn, wat ontbreekt en waarom, wie ze vroeg, waarvoor, en op welke machtiging. manifest.jws is hetzelfde,
ondertekend door het platform. Elk bestand staat erin met zijn SHA-256. Controleren zonder het platform:
    koinon video verify-export PAKKET.zip --key sleutels.json
of met elk programma dat JWS (RFC 7515, Ed25519) en SHA-256 kent. De sleutels staan op /api/keys van het platform.

FRANÇAIS
Ce paquet contient des images de caméras exportées par Koinon. manifest.json dit de quelles caméras et de quel moment
elles sont, ce qui manque et pourquoi, qui les a demandées, à quelle fin et sur quelle autorisation. manifest.jws est la
même chose, signée par la plateforme. Chaque fichier y figure avec son SHA-256. Vérifier sans la plateforme :
    koinon video verify-export PAQUET.zip --key cles.json
ou avec tout programme qui connaît JWS (RFC 7515, Ed25519) et SHA-256. Les clés sont sur /api/keys de la plateforme.

ENGLISH
This package holds images of cameras that were exported by Koinon. manifest.json says of which cameras and which time
they are, what is missing and why, who asked for them, for what, and under which authorisation. manifest.jws is the
same, signed by the platform. Each file stands in it with its SHA-256. To verify without the platform:
    koinon video verify-export PACKAGE.zip --key keys.json
or with any program that knows JWS (RFC 7515, Ed25519) and SHA-256. The keys are at /api/keys of the platform.
"""
