import type { ControlPlane } from "../controller/control-plane.ts";
import type { Kind } from "../resource/kind.ts";
import type { ObjectKey, Resource } from "../resource/resource.ts";
import type {
  Accepted,
  ApplyOptions,
  CreateOptions,
  DeleteOptions,
  ListOptions,
  NewObject,
  PartialSpec,
  ReadOptions,
  ResourceEvent,
  UpdateOptions,
} from "../store/resource-store-options.ts";
import type { TaskHandle, WaitOptions } from "../task/task-handle.ts";

/** Names an object: by name in tenant `default`, or by tenant and name. */
export type ObjectName = string | ObjectKey;

/**
 * The objects of one kind. Writes return when they are on disk; the task tells when what they ask for is so. Objects are plain data, as they were
 * when they were read.
 */
export interface KindClient<Spec, Status, Input> {
  /** Idempotent by name: the same spec again returns the same object, another spec fails with `ALREADY_EXISTS`. */
  create(object: NewObject<Input>, options?: CreateOptions): Promise<Accepted<Spec, Status>>;
  /** Creates an object, and waits until it is as asked. */
  createAndWait(object: NewObject<Input>, options?: CreateOptions & WaitOptions): Promise<Resource<Spec, Status>>;
  /** Fails with `NOT_FOUND`. */
  get(name: ObjectName, options?: ReadOptions): Promise<Resource<Spec, Status>>;
  find(name: ObjectName, options?: ReadOptions): Promise<Resource<Spec, Status> | undefined>;
  /** All objects, of every page. */
  list(options?: ListOptions): Promise<readonly Resource<Spec, Status>[]>;
  /** Changes some fields of the spec. Fields that another owner holds fail with `FAILED_PRECONDITION`, unless forced. */
  apply(name: ObjectName, change: PartialSpec<Input>, options?: Partial<ApplyOptions>): Promise<Accepted<Spec, Status>>;
  /** Replaces the spec. */
  update(
    name: ObjectName,
    spec: Input | ((object: Resource<Spec, Status>) => Input),
    options?: UpdateOptions,
  ): Promise<Accepted<Spec, Status>>;
  /** Asks for deletion. The task ends when nothing of the object is left. */
  delete(name: ObjectName, options?: DeleteOptions): Promise<TaskHandle>;
  /** Deletes an object, and waits until nothing of it is left. An absent one is a success. */
  deleteAndWait(name: ObjectName, options?: DeleteOptions & WaitOptions): Promise<void>;
  /** Every change from now on; `resync` after a gap. */
  watch(options?: ReadOptions): AsyncIterable<ResourceEvent<Spec, Status>>;
}

/** The key of an object. */
export function keyOf(name: ObjectName): ObjectKey {
  return typeof name === "string" ? { tenant: "default", name } : name;
}

/** Makes the client of a kind. */
export function kindClient<Spec, Status, Input>(
  plane: ControlPlane,
  kind: Kind<Spec, Status, Input>,
): KindClient<Spec, Status, Input> {
  const { store } = plane;
  return {
    create: (object, options) => store.create(kind, object, options),
    async createAndWait(object, options = {}) {
      const { task } = await store.create(kind, object, options);
      return task.wait(options);
    },
    get: (name, options) => store.get(kind, keyOf(name), options),
    find: (name, options) => store.find(kind, keyOf(name), options),
    async list(options = {}) {
      const objects: Resource<Spec, Status>[] = [];
      let { pageToken } = options;
      do {
        const page = await store.list(kind, { ...options, ...(pageToken === undefined ? {} : { pageToken }) });
        objects.push(...page.items);
        pageToken = page.nextPageToken;
      } while (pageToken !== undefined);
      return objects;
    },
    apply: (name, change, options = {}) => store.apply(kind, keyOf(name), change, { fieldOwner: "user", ...options }),
    update: (name, spec, options) => store.update(kind, keyOf(name), spec, options),
    async delete(name, options) {
      const { task } = await store.delete(kind, keyOf(name), options);
      return task;
    },
    async deleteAndWait(name, options = {}) {
      if ((await store.find(kind, keyOf(name), options)) === undefined) return;
      const { task } = await store.delete(kind, keyOf(name), options);
      await task.wait(options);
    },
    async *watch(options = {}) {
      const { revision } = await store.list(kind, { ...options, limit: 1 });
      yield* store.watch(kind, { ...options, afterRevision: revision });
    },
  };
}
