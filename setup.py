import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel

EDITABLE = (
    "mobiledense is installed from a checkout, with pip install -e . and no other way: "
    "its datasets/ in a wheel would overwrite Hugging Face's package of that name"
)
if any("build_wheel" in word for word in sys.orig_argv):  # pip's first hook, before it fetches all dependencies
    sys.exit(EDITABLE)

ONNX = ["onnx>=1.17", "onnxscript>=0.5", "onnxruntime>=1.20"]
EXTRAS = {
    "onnx": ONNX,
    "openvino": [*ONNX, "openvino>=2025.0", "nncf>=2.14"],
    "executorch": ["executorch>=1.0"],
    "litert": ["litert-torch>=0.10", "ai-edge-litert>=2.0", "flatbuffers>=24"],
}


class NoWheel(bdist_wheel):
    def run(self) -> None:
        sys.exit(EDITABLE)


setup(
    name="mobiledense",
    version="0.1.0",
    description="Dense prediction on small devices: MobileNetV3 backbones, LR-ASPP segmentation, SSDLite detection",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    # What an install adds to other programs. datasets and tools stay out of them, lest they shadow packages of those
    # names: tasks finds ours beside itself, and the command runs in the checkout.
    packages=["backbones", "heads", "tasks", "deploy", "search"],
    package_dir={name: name for name in ("backbones", "heads", "tasks", "deploy", "search")},
    py_modules=["mobiledense"],
    entry_points={"console_scripts": ["mobiledense = mobiledense:main"]},
    cmdclass={"bdist_wheel": NoWheel},
    install_requires=[
        "torch>=2.9",
        "torchvision>=0.24",
        "lightning>=2.6,!=2.6.2,!=2.6.3",  # 2.6.2 and 2.6.3 were malware
        "segmentation-models-pytorch>=0.5,<0.7",
        "timm>=1.0.15",
        "huggingface-hub>=1.0",
        "albumentations>=2.0.8,<2.1",
        "pycocotools>=2.0.8",
        "faster-coco-eval>=1.6",
        "torchmetrics>=1.6",
        "lazy-loader>=0.4",
        "jsonargparse[signatures]>=4.40",
        "pyyaml>=6",
        "rich>=13",
        "matplotlib>=3.8",
        "tensorboard>=2.16",
        "safetensors>=0.4",
        "defusedxml>=0.7",
        "filelock>=3.12",
        "opencv-python-headless>=4.9",
        "numpy>=1.26",
        "pillow>=10",
        "scipy>=1.10",  # which albumentations brings
    ],
    extras_require=EXTRAS
    | {
        "wandb": ["wandb>=0.18"],
        "mlflow": ["mlflow>=2.20"],
        "deploy": sorted({package for packages in EXTRAS.values() for package in packages}),
        "ray": ["ray[data]>=2.60,<3"],
        "search": ["optuna>=4.9,<6"],
        # Runs what --target mediapipe writes, beside litert, which reads it. mediapipe brings opencv-contrib-python,
        # which has the folder cv2 of opencv-python-headless: either works, but taking one away breaks the other. If
        # they collide, pip install --no-deps mediapipe==1.2.2 is enough.
        "test-phone": ["mediapipe==1.2.2", "pytest>=8"],
        "test-web": ["playwright>=1.50", "pytest>=8"],
        "dev": [
            *("pytest>=8", "pytest-xdist>=3.6", "ruff>=0.9", "mypy>=1.14"),
            "optuna>=4.9,<6",
            *("ipykernel>=6.29", "nbclient>=0.10", "pandas>=2.2"),  # for the notebook
            *EXTRAS["onnx"],
        ],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
