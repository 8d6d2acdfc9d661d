import { type OperationContext, type OwnerStamp, type Page, type PageRequest, systemClock } from "@vdc-os/core";
import type {
  CloudConnector,
  CloudInstance,
  CloudStamp,
  CreateInstance,
  InstanceObservation,
} from "@vdc-os/core/cloud/v1";
import { must } from "../suite/must.ts";
import type { Instance, Requirement, SuiteTest } from "../suite/suite.ts";

/** A connector that can be killed. */
export interface KillableCloudConnector {
  readonly implementation: CloudConnector;
  /** Ends its process by SIGKILL, and opens another connector to the same account. */
  kill(): Promise<CloudConnector>;
}

/** What the factory gives for the cloud suite. Nothing that this suite has made may be in the account. */
export interface CloudConnectorInstance extends Instance<CloudConnector> {
  /** What the suite makes instances from: small and quick. It makes 20 of them at once in one requirement. */
  readonly request: Pick<CreateInstance, "image" | "size" | "networks"> & { readonly region?: string };
  /** A connector to the same cloud with credentials that it does not know. Without it that is not tried, and the verdict is `partial`. */
  wrongCredentials?(): CloudConnector | Promise<CloudConnector>;
  /**
   * From now on until the next create has been served: the cloud does what it is asked, and its answer does not arrive. Without it lost
   * answers are not tried, and the verdict is `partial`.
   */
  loseNextAnswer?(): void;
  /** Another connector to the same account, as after a restart of the datacenter. Without it that is not tried. */
  reopen?(): CloudConnector | Promise<CloudConnector>;
  /** A connector to the same account in a process of its own. Without it kills in the middle of a call are tried with `reopen`. */
  killable?(): Promise<KillableCloudConnector>;
  /** Makes an instance that bears no stamp, as somebody else would, and returns its id. Without it that is not tried. */
  makeForeign?(): string | Promise<string>;
}

/** A requirement of the cloud suite. */
export type CloudRequirement = Requirement<CloudConnector, CloudConnectorInstance>;

/** What a cloud requirement works with. */
export type CloudTest = SuiteTest<CloudConnector, CloudConnectorInstance>;

/** How often an instance that is on its way is looked at, in milliseconds. */
const pollMs = 10;

/** An owner stamp of a datacenter. */
export function ownerOf(datacenter: string): OwnerStamp {
  return { datacenter, tenant: "default", kind: "CloudInstance", name: "web", uid: `uid-${datacenter}` };
}

/** A stamp with a token. */
export function stampOf(token: string, datacenter = "dc-1"): CloudStamp {
  return { owner: ownerOf(datacenter), token };
}

/** A request for an instance whose token is its name, unless something else is asked for. */
export function requestOf(test: CloudTest, name: string, more: Partial<CreateInstance> = {}): CreateInstance {
  return { name, ...test.instance.request, stamp: stampOf(name), ...more };
}

/** Creates an instance. */
export function create(test: CloudTest, name: string, more: Partial<CreateInstance> = {}): Promise<CloudInstance> {
  return test.provider.createInstance(requestOf(test, name, more), test.operation());
}

/** What is known of the instance with a token. */
export function observe(
  test: CloudTest,
  token: string,
  provider: CloudConnector = test.provider,
): Promise<InstanceObservation> {
  return provider.observeInstance({ by: { token } }, test.operation());
}

/** The one instance with a token. */
export async function present(test: CloudTest, token: string): Promise<CloudInstance> {
  const found = await observe(test, token);
  must(found.state === "present", `the instance with token '${token}' must be present, and is ${found.state}`);
  return found.instance;
}

/** Looks again and again until something is so. The requirement's time limit ends it. */
export async function until<T>(test: CloudTest, look: () => Promise<T>, isSo: (value: T) => boolean): Promise<T> {
  const { signal } = test.operation();
  for (;;) {
    const value = await look();
    if (isSo(value)) return value;
    await systemClock.sleep(pollMs, { signal });
  }
}

/** Removes an instance, and waits until it is gone. */
export async function removeWholly(test: CloudTest, instance: CloudInstance): Promise<void> {
  const { instanceId } = instance;
  await test.provider.removeInstance({ instanceId }, test.operation());
  const look = () => test.provider.observeInstance({ by: { instanceId } }, test.operation());
  await until(test, look, ({ state }) => state === "absent");
}

/** The items of all pages of a list, of pages of this size. */
export async function allPages<T>(
  list: (request: PageRequest, context: OperationContext) => Promise<Page<T>>,
  limit: number | undefined,
  operation: () => OperationContext,
): Promise<readonly T[]> {
  const items: T[] = [];
  const size = limit === undefined ? {} : { limit };
  let page = await list(size, operation());
  for (let pages = 1; ; pages += 1) {
    must(
      limit === undefined || page.items.length <= limit,
      `a page of at most ${limit} has ${page.items.length} items`,
    );
    items.push(...page.items);
    const { nextPageToken: pageToken } = page;
    if (pageToken === undefined) return items;
    must(pages < 1000, "the pages must come to an end");
    page = await list({ ...size, pageToken }, operation());
  }
}

/** The tokens of the instances that a datacenter stamped, in order. */
export async function tokensOf(test: CloudTest, ownerDatacenter = "dc-1", limit?: number): Promise<readonly string[]> {
  const items = await allPages<CloudInstance>(
    (page, context) => test.provider.listInstances({ ...page, ownerDatacenter }, context),
    limit,
    () => test.operation(),
  );
  return items.map(({ stamp }) => stamp?.token ?? "no stamp").sort();
}
