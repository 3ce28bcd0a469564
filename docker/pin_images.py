"""Writes the digests of the images of others into docker-compose.yml and the Dockerfile: ``make pin-images``.

An image with a digest is the same for ever; its version alone may be pushed again. A digest is asked of the registry
(``docker buildx imagetools``), and replaces the one that stands there; the version is chosen by hand.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: name:version of an image in a Compose file or a Dockerfile, and the digest that it may have. Our own have a variable.
IMAGE = re.compile(
    r"^(?P<before>\s*image: |FROM )(?P<image>[a-z0-9./_-]+:[\w.-]+)(?P<digest>@sha256:[0-9a-f]{64})?", re.MULTILINE
)


def digest(image: str) -> str:
    """The digest of an image, for all processors, as its registry says.

    Raises:
        SystemExit: The registry or ``docker buildx`` does not answer.
    """
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"The digest of {image} cannot be asked: {getattr(error, 'stderr', None) or error}")
    found = ran.stdout.strip()
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", found):
        sys.exit(f"The digest of {image} is not understood: {found!r}")
    return found


def pin(path: Path) -> list[str]:
    """Write the digests of the images that a file names; returns them with their images."""
    text = path.read_text(encoding="utf-8")
    digests = {found["image"]: digest(found["image"]) for found in IMAGE.finditer(text)}
    pinned = IMAGE.sub(lambda found: f"{found['before']}{found['image']}@{digests[found['image']]}", text)
    path.write_text(pinned, encoding="utf-8")
    return [f"{image}@{digests[image]}" for image in digests]


def main(root: Path = ROOT) -> None:
    """Pin every image of both files."""
    for name in ("docker-compose.yml", "Dockerfile"):
        for line in pin(root / name):
            sys.stdout.write(f"{name}: {line}\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
