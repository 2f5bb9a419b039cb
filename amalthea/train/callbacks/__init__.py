"""Callbacks: code that runs between the steps and epochs of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

from amalthea.train.callbacks.backup_and_restore import BackupAndRestore as BackupAndRestore
from amalthea.train.callbacks.callback import Callback as Callback
from amalthea.train.callbacks.callback_list import CallbackList as CallbackList
from amalthea.train.callbacks.csv_logger import CSVLogger as CSVLogger
from amalthea.train.callbacks.early_stopping import EarlyStopping as EarlyStopping
from amalthea.train.callbacks.history import History as History
from amalthea.train.callbacks.lambda_callback import LambdaCallback as LambdaCallback
from amalthea.train.callbacks.learning_rate_scheduler import LearningRateScheduler as LearningRateScheduler
from amalthea.train.callbacks.model_checkpoint import ModelCheckpoint as ModelCheckpoint
from amalthea.train.callbacks.monitor import MonitorCallback as MonitorCallback
from amalthea.train.callbacks.progbar_logger import ProgbarLogger as ProgbarLogger
from amalthea.train.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau as ReduceLROnPlateau
from amalthea.train.callbacks.remote_monitor import RemoteMonitor as RemoteMonitor
from amalthea.train.callbacks.swap_ema_weights import SwapEMAWeights as SwapEMAWeights
from amalthea.train.callbacks.terminate_on_nan import TerminateOnNaN as TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TerminateOnNaN",
]
