"""An engine that outlives its model: it may take the weights of the next one, which saves it a start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from eval.engines.engine import Engine, EngineSettings, Reloading


class HeldEngine:
    """The engine of the model before, held open where it may take the weights of the next."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._settings: EngineSettings | None = None
        self._trusted = True
        """Whether it has computed all weights rightly that it took."""

    def hold(self, engine: Engine, settings: EngineSettings) -> None:
        """Holds an engine, where none is held."""
        self._engine, self._settings = engine, settings

    def close_unless_for(self, settings: EngineSettings) -> None:
        """Closes the engine, unless it differs from one with these settings in the weights alone, and can take them."""
        alike = self._settings and replace(self._settings, model=settings.model, revision=None) == settings
        engine = self._engine
        if not (alike and self._trusted and isinstance(engine, Reloading) and engine.can_reload(settings.model)):
            self.close()

    def reloaded(
        self, settings: EngineSettings, objection: Callable[[Engine], str], say: Callable[[str], None]
    ) -> Engine | None:
        """The engine with the weights of these settings, held no more; None where there is none, or it fails with them.

        `objection` says why an engine fails, if it does.
        """
        engine = self._engine
        if not isinstance(engine, Reloading):
            return None
        try:
            engine.reload(settings.model)
            reason = objection(engine)
        except Exception as error:  # whatever an engine's own code raises: a new one may do without it
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
        if reason:
            self._trusted = False
            say(f"the engine does not compute weights that it takes as the reference ({reason}); a new one will")
            self.close()
            return None
        self._engine = None
        return engine

    def close(self) -> None:
        """Closes the engine, if one is held."""
        engine, self._engine = self._engine, None
        if engine:
            engine.close()
