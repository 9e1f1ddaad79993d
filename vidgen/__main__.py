"""``python -m vidgen``, for launchers such as torchrun and accelerate."""

from vidgen.cli import main

if __name__ == "__main__":
    main()
