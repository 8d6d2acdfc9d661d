import type { RecoveryPoint } from "@vdc-os/core/backup/v1";
import { hashOf } from "./blob.ts";
import { keyOf, type PointManifest, pointManifest } from "./point-manifest.ts";
import { damaged } from "./repository-failure.ts";
import type { RepositoryFolder } from "./repository-folder.ts";

const maxManifestBytes = 4 * 1024 * 1024;

/** The recovery points: one small file each. All are in memory while the repository is open. */
export class PointStore {
  readonly #folder: RepositoryFolder;
  readonly #points: Map<string, PointManifest>;
  /** Files that can't be read, with the reason. */
  readonly unreadable: ReadonlyMap<string, string>;

  private constructor(
    folder: RepositoryFolder,
    points: Map<string, PointManifest>,
    unreadable: ReadonlyMap<string, string>,
  ) {
    this.#folder = folder;
    this.#points = points;
    this.unreadable = unreadable;
  }

  static async open(folder: RepositoryFolder): Promise<PointStore> {
    const points = new Map<string, PointManifest>();
    const unreadable = new Map<string, string>();
    for (const name of await folder.list("points")) {
      const key = /^([0-9a-f]{24})\.json$/.exec(name)?.[1];
      if (key === undefined) continue;
      try {
        const text = (await folder.read(`points/${name}`, maxManifestBytes)) ?? "";
        const manifest = pointManifest.parse(JSON.parse(checked(text)));
        const { subject, name: pointName } = manifest.point;
        if (keyOf(subject, pointName) !== key) throw new Error("it is another point's");
        points.set(key, manifest);
      } catch (error) {
        unreadable.set(name, error instanceof Error ? error.message.slice(0, 500) : String(error));
      }
    }
    return new PointStore(folder, points, unreadable);
  }

  /** Oldest first. */
  list(subject?: string): readonly PointManifest[] {
    return [...this.#points.values()]
      .filter(({ point }) => subject === undefined || point.subject === subject)
      .sort((a, b) => order(a.point, b.point));
  }

  find(subject: string, name: string): PointManifest | undefined {
    return this.#points.get(keyOf(subject, name));
  }

  findById(recoveryPointId: string): PointManifest | undefined {
    const found = this.#points.get(recoveryPointId.split("-")[0] ?? "");
    return found?.point.recoveryPointId === recoveryPointId ? found : undefined;
  }

  async add(manifest: PointManifest): Promise<void> {
    const key = keyOf(manifest.point.subject, manifest.point.name);
    const text = JSON.stringify(manifest);
    await this.#folder.write(`points/${key}.json`, `${text}\n${sumOf(text)}\n`);
    this.#points.set(key, manifest);
  }

  async remove(manifests: readonly PointManifest[]): Promise<void> {
    const keys = manifests.map(({ point }) => keyOf(point.subject, point.name));
    await this.#folder.remove(...keys.map((key) => `points/${key}.json`));
    for (const key of keys) this.#points.delete(key);
  }

  /** Throws `DATA_LOSS` when a point can't be read: nobody can tell what it needs. */
  assertReadable(): void {
    for (const [name, message] of this.unreadable) throw damaged(`'points/${name}' can't be read: ${message}`);
  }
}

/** What stands before a file's last line, which is its sum. */
function checked(text: string): string {
  const [content = "", sum] = text.split("\n");
  if (sum !== sumOf(content)) throw new Error("its sum is wrong");
  return content;
}

function sumOf(text: string): string {
  return hashOf(Buffer.from(text)).toString("hex");
}

function order(a: RecoveryPoint, b: RecoveryPoint): number {
  return a.createdAt - b.createdAt || (a.recoveryPointId < b.recoveryPointId ? -1 : 1);
}
