"""The file of a benchmark whose data do not come along."""

from pathlib import Path


def parse_with_data(parser, default):
    """Parse a benchmark's arguments; ``--data`` says where its file is, and it must be there."""
    parser.add_argument("--data", type=Path, default=default, help=default.name)
    args = parser.parse_args()
    if not args.data.exists():
        parser.error(f"there is no {args.data}: give the place of {default.name} by --data")
    return args
