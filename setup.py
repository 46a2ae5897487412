"""The build step that the static metadata cannot express: openapi.yaml is installed beside the code that serves it."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPy(build_py):
    """Copies openapi.yaml from the top of the repository; an editable install reads it there."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            self.copy_file("openapi.yaml", str(Path(self.build_lib, "handlers", "operations", "openapi.yaml")))


setup(cmdclass={"build_py": BuildPy})
