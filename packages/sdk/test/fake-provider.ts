import { type OwnerStamp, VdcError } from "@vdc-os/core";
import type { SweepTarget } from "../src/journal/sweep.ts";

/** Something that a {@link FakeProvider} has. */
export interface ExternalDisk {
  readonly name: string;
  readonly sizeBytes: number;
  readonly owner: OwnerStamp | undefined;
}

/** Where a process dies at the provider: at which effect (from 1), and whether that one had happened. */
export interface ProviderCut {
  readonly atEffect: number;
  readonly happened: boolean;
}

/** The process that calls a provider. */
export interface Caller {
  readonly isCut: boolean;
  kill(): void;
}

/** An outside world that remembers what was made in it, whoever dies. */
export class FakeProvider {
  readonly disks: Map<string, ExternalDisk> = new Map();
  /** How often each name was made. */
  readonly made: Map<string, number> = new Map();
  effects = 0;

  /** The provider as one process sees it. */
  session(caller: Caller, cut?: ProviderCut): FakeSession {
    return new FakeSession(this, caller, cut);
  }

  /** The provider as a sweep sees it. */
  sweepTarget(): SweepTarget {
    const observed = ({ name, owner }: ExternalDisk) => ({ provider: "fake", externalName: name, owner });
    return {
      provider: "fake",
      list: async () => [...this.disks.values()].map(observed),
      find: async (externalName) => {
        const found = this.disks.get(externalName);
        return found && observed(found);
      },
      remove: async ({ externalName }) => {
        this.disks.delete(externalName);
      },
    };
  }
}

/** One process's view of a {@link FakeProvider}. */
export class FakeSession {
  readonly #provider: FakeProvider;
  readonly #caller: Caller;
  readonly #cut: ProviderCut | undefined;
  #effects = 0;

  constructor(provider: FakeProvider, caller: Caller, cut: ProviderCut | undefined) {
    this.#provider = provider;
    this.#caller = caller;
    this.#cut = cut;
  }

  async get(name: string): Promise<ExternalDisk | undefined> {
    await this.#alive();
    return this.#provider.disks.get(name);
  }

  create(disk: ExternalDisk): Promise<void> {
    return this.#effect(() => {
      const { disks, made } = this.#provider;
      const known = disks.get(disk.name);
      if (known?.owner !== undefined && known.owner.uid === disk.owner?.uid) return;
      if (known !== undefined) throw new VdcError("ALREADY_EXISTS", `'${disk.name}' is somebody else's`);
      disks.set(disk.name, disk);
      made.set(disk.name, (made.get(disk.name) ?? 0) + 1);
    });
  }

  resize(name: string, sizeBytes: number): Promise<void> {
    return this.#effect(() => {
      const known = this.#provider.disks.get(name);
      if (known === undefined) throw new VdcError("NOT_FOUND", `there is no '${name}'`);
      this.#provider.disks.set(name, { ...known, sizeBytes });
    });
  }

  delete(name: string): Promise<void> {
    return this.#effect(() => {
      this.#provider.disks.delete(name);
    });
  }

  async #effect(change: () => void): Promise<void> {
    await this.#alive();
    const isLast = ++this.#effects === this.#cut?.atEffect;
    if (isLast && !this.#cut?.happened) this.#caller.kill();
    await this.#alive();
    this.#provider.effects++;
    change();
    if (isLast) this.#caller.kill();
    await this.#alive();
  }

  async #alive(): Promise<void> {
    await Promise.resolve();
    if (this.#caller.isCut) throw new VdcError("UNAVAILABLE", "the calling process is dead");
  }
}
