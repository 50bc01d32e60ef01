"""What the tools do, for any task: train, evaluate, predict."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from backbones import BackboneOptions, is_given
from backbones.weights_download import sha256
from backbones.weights_files import read_weights
from datasets import ClassUniform, tell_difference
from datasets.faults import did_you_mean, unknown_dataset
from tasks.checkpoints import unchanged
from tasks.errors import CheckpointError, TaskError
from tasks.hub_checkpoints import SAFE, local_checkpoint, pinned, place, torchvisions
from tasks.options import Data, Evaluation, EvaluationData, Network, Optimization, Prediction, Run
from tasks.published_scores import is_scored
from tasks.readiness import choose_device, require_folder, require_step
from tasks.run import check_run, seed_everything, train_run
from tasks.sources import Sources
from tasks.trainer import is_first_process
from tasks.video_prediction import Unchanged, predict_video, tell_film
from tasks.wing import Wing
from tasks.wings import WINGS, load_task


def train(
    kind: str,
    data: Data,
    network: Network,
    backbone: BackboneOptions,
    optimization: Optimization,
    augmentation: Any,
    options: Any,
    run: Run,
    config_text: str,
) -> Path:
    """Train, keep the best and the last checkpoint, and evaluate the best one.

    What can be refused is refused before any file of the data is read.

    Args:
        kind: of the task, a key of `WINGS`.
        data: what is trained on.
        network: what is trained.
        backbone: what its backbone is built with.
        optimization: how weights move.
        augmentation: what training does to images.
        options: the task's own.
        run: how the run is carried out.
        config_text: the options as YAML, written into the run's folder.

    Returns:
        The run's folder.

    Raises:
        BackboneError, HeadError, DataError, TaskError: for whatever the user can mend, in one line.
    """
    wing = WINGS[kind]
    if data.dataset not in wing.datasets:
        raise unknown_dataset(data.dataset, wing.datasets)
    wing.check_options(options)
    if optimization.freeze is not None and network.weights is None and not run.resume:
        raise TaskError(f"--freeze {optimization.freeze} would keep random weights: give some with --weights")
    network = _completed(network, kind)
    check_network(wing, network, backbone, options, data.dataset)
    head = [network.head or wing.heads[0]] if len(wing.heads) > 1 else []
    run = run.named("_".join([data.dataset, _short(network.backbone), *head]))
    check_run(run)
    if network.weights is not None and torchvisions(network.weights) is not None:
        network = replace(network, weights=str(local_checkpoint(network.weights)))
    splits = [data.train_split, data.val_split]
    found = wing.find_files(data.dataset, splits, data.data_root, data.download, data.group_by, data.classes)
    found = [wing.complete_files(found[0], options, found[1]), wing.complete_files(found[1], options)]
    train_files, val_files = (wing.limit_files(files, data.max_images) for files in found)
    summaries = wing.check_files(train_files, val_files, read=data.check_data)
    for line in (line for summary in summaries for line in summary.lines()):
        print(line)
    names, size = train_files.names, wing.input_size(options, data.dataset, train_files) or (224, 224)
    require_same(train_files, val_files, data.train_split, data.val_split)
    spec = wing.make_spec(network, backbone, names, train_files.colours, size, options, data.dataset)
    spec = wing.for_files(spec, train_files)
    spec = replace(spec, **wing.start_normalisation(spec, network.weights))
    seed_everything(run.seed)
    task = wing.make_task(spec, optimization, options, train_files, summaries[0] if summaries else None)
    epochs = optimization.epochs or wing.epochs(data.dataset)
    batch_size = optimization.batch_size or wing.batch_size
    require_step(task.network, batch_size, size)
    weights = network.weights
    said = wing.advise(train_files, data.dataset) if weights is None else wing.load_weights(task, weights)
    if said:
        print(said)
    samples = wing.train_samples(train_files, spec, augmentation), wing.val_samples(val_files, spec)
    task.check_samples(samples[1])
    if data.cache:
        samples[0].keep()
    uniform = None
    if data.class_uniform:
        held = wing.holders(train_files, summaries[0] if summaries else None)
        uniform = ClassUniform(data.class_uniform, held)
    how: dict[str, Any] = {"draw": wing.draw, "drawn": wing.drawn, "draw_batch": wing.draw_batch}
    how |= {"repeat": data.repeat, "uniform": uniform}
    trained = train_run(run, task, *samples, config_text, epochs, batch_size, **how)
    best = run.folder / "best.ckpt"
    folder = run.folder / f"eval_{data.val_split}"
    if best.is_file() and is_first_process():
        digest = sha256(best)
        if trained or not is_scored(folder, digest):  # it may have been killed before it was
            scored = wing.task.load(best).fold()
            wing.evaluate(scored, val_files, folder, _settings(scored, best, digest, val_files))
    return run.folder


def _completed(network: Network, kind: str) -> Network:
    """A network whose backbone is a checkpoint of the task, with its head, where no other is asked for."""
    path = Path(network.backbone)
    if not is_given(network.backbone) or path.suffix == ".json" or not path.is_file():
        return network
    said = read_weights(path)[1]
    if said.get("task") != kind or network.head not in (None, said.get("head")):
        return network
    of_head = said.get("head_options") if network.head_options is None else network.head_options
    return replace(network, head=said.get("head"), head_options=of_head)


def _short(backbone: str) -> str:
    """A backbone's name as a run's has it."""
    path = Path(backbone)
    return f"{path.parent.name}_{path.stem}".strip("_") if path.is_file() else backbone


def check_network(wing: Wing, network: Network, backbone: BackboneOptions, options: Any, dataset: str) -> None:
    """Refuse a network that there is not, by one of two classes without values."""
    if network.head is not None and network.head not in wing.heads:
        known = ", ".join(wing.heads)
        raise TaskError(
            f'there is no head "{network.head}"{did_you_mean(network.head, wing.heads)} (there are {known})'
        )
    size = wing.input_size(options, dataset)
    spec = wing.make_spec(network, backbone, ["one", "other"], [(0, 0, 0)] * 2, size or (224, 224), options, dataset)
    if size is not None:
        with torch.device("meta"):
            wing.network(spec)


def load_predictor(checkpoint: Path, device: str, output_stride: int | None = None) -> Any:
    """A trained task as it is evaluated and predicts.

    Args:
        checkpoint: written by training.
        device: see `choose_device`.
        output_stride: see `Task.at_output_stride`; None for that of training.
    """
    task = load_task(checkpoint, choose_device(device))
    return (task if output_stride is None else task.at_output_stride(output_stride)).fold()


Load = Callable[[Path, str, int | None], Any]  # a file, a device, an output stride -> what predicts


def evaluate(
    kind: str,
    checkpoint: Path,
    data: EvaluationData,
    evaluation: Evaluation,
    files: Any = None,
    output_stride: int | None = None,
    load: Load = load_predictor,
    tile: tuple[int, int] | None = None,
    **options: Any,
) -> Path:
    """Evaluate a checkpoint on a split.

    Args:
        kind: of the task, a key of `WINGS`.
        checkpoint: written by training, or whatever else `load` reads.
        data: what is evaluated on.
        evaluation: how, and where to.
        files: of the split, if they are found already.
        output_stride: see `Task.at_output_stride`; None for that of training.
        load: what makes a predictor of the file.
        tile: see `Wing.tiled`; None to look at whole images.
        **options: of `Wing.evaluate`.

    Returns:
        The folder that was written to.

    Raises:
        DataError, TaskError: for whatever the user can mend, in one line.
    """
    wing, device = WINGS[kind], choose_device(evaluation.device)
    given = place(checkpoint)
    file = "" if given.suffix in (".ckpt", SAFE) else f"_{given.name}"  # whose scores take no checkpoint's place
    folder = require_folder(evaluation.output or given.parent / f"eval_{data.split}{file}")
    with unchanged(checkpoint) as digest:
        task = load(checkpoint, device, output_stride)
    if task.kind != kind:
        raise CheckpointError(f"{pinned(checkpoint)}: is for {task.kind}, not for {kind}")
    if files is None:
        split = [data.split]
        files = wing.find_files(data.dataset, split, data.data_root, group_by=data.group_by, classes=data.classes)[0]
    files = wing.limit_files(files, data.max_images)
    require_same(task.spec, files, pinned(checkpoint), str(files.root))
    for line in (line for summary in wing.check_files(files, read=data.check_data) for line in summary.lines()):
        print(line)
    settings = _settings(task, checkpoint, digest, files)
    if tile is not None:
        task, settings["tile"] = wing.tiled(task, tile), tile
    wing.evaluate(task, files, folder, settings, evaluation.drawn, evaluation.workers, **options)
    return folder


def _settings(task: Any, checkpoint: Path, digest: str | None, files: Any) -> dict[str, Any]:
    """What scores.json says beside the scores."""
    told = {"checkpoint": pinned(checkpoint), "data": str(files.root), "split": files.split}
    if digest is not None:
        told["sha256"] = digest  # so that scores are known to be this one's, wherever it goes
    return told | {"output_stride": task.spec.table.output_stride}


def require_same(one: Any, other: Any, whose: str, others: str) -> None:
    """Refuse class names that differ.

    Args:
        one: files of a split, or a spec.
        other: likewise.
        whose: `one` is, as a message says it.
        others: likewise of `other`.

    Raises:
        TaskError: if they do.
    """
    for lists in ("names", "box_names"):  # the latter of joint ones
        names, theirs = (getattr(whole, lists, []) for whole in (one, other))
        if names != theirs:
            raise TaskError(f"classes of {whose} and {others} differ: {tell_difference(names, theirs, whose, others)}")


def predict(
    checkpoint: Path,
    found: Sources,
    output: Path,
    options: Prediction,
    max_frames: int | None,
    device: str,
    load: Load = load_predictor,
) -> Path:
    """Write what a network sees in images, a video or a webcam.

    Args:
        checkpoint: written by training, or whatever else `load` reads.
        found: what is predicted, see `find_sources`.
        output: folder for the results.
        options: how it is predicted and drawn.
        max_frames: of a video or webcam.
        device: see `choose_device`.
        load: what makes a predictor of the file.

    Returns:
        The folder.

    Raises:
        DataError, TaskError: for whatever the user can mend, in one line.
    """
    require_folder(output)
    task = load(checkpoint, choose_device(device), options.output_stride)
    if options.instances and (task.kind != "joint" or found.video is not None):
        raise TaskError("--instances is for images that a joint network sees")
    if options.track and not (WINGS[task.kind].tracks and found.video is not None):
        raise TaskError("--track is for a video or webcam that a detector or a joint network sees")
    if options.json and found.video is not None and not options.track:
        raise TaskError("--json of a video or webcam needs --track: it has the boxes of each object")
    wing = WINGS[task.kind]
    if options.tile is not None:
        task = wing.tiled(task, options.tile)
    if found.video is not None:
        predictor = Unchanged(task)
        show = wing.show(predictor, options, frames=True)
        film = predict_video(found.video, output, show, max_frames, options.json)
        tell_film(found.video, film, predictor.skipped)
    else:
        count = wing.predict_images(task, found, output, options)
        print(f"wrote predictions for {count} images to {output}")
    return output
