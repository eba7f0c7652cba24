// Who is told when a VM's status may have changed.

export class StatusListeners {
  readonly #listeners = new Set<() => void>();

  /** Returns how to stop. */
  add(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
