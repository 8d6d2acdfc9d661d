import type { z } from "zod";
import type { AnyExtensionPoint } from "../extension-point/extension-point.ts";

/** A provider's name: fixed, or taken from the string at a key of the plugin's config, so that the plan can read it before any code runs. */
export type ProviderName = string | { readonly fromConfig: string };

/** A point that a plugin provides, and under which name. */
export interface Provision<P extends AnyExtensionPoint = AnyExtensionPoint> {
  readonly point: P;
  /** Defaults to the plugin instance's id. */
  readonly name?: ProviderName;
}

/** A provider that a plugin uses. The contract version it was built against is its token's. */
export interface Requirement<P extends AnyExtensionPoint = AnyExtensionPoint, Many extends boolean = boolean> {
  readonly point: P;
  /** Which provider. Not with `all`. Defaults to the only one there is. */
  readonly name?: ProviderName;
  /** All providers of the point, as a live directory. An empty one satisfies it. */
  readonly all: Many;
}

/** Requirements by the name under which `setup` sees them. */
export type Requirements = Readonly<Record<string, Requirement>>;

/** A plugin's manifest: data that is readable before any of the plugin's code runs. */
export interface PluginManifest {
  /** The package's name. */
  readonly name: string;
  /** The package's version (semver). */
  readonly version: string;
  /** The versions of `@vdc-os/core` it works with, as `major.minor`: the same major, and at least this minor. */
  readonly core: string;
  /** One sentence: what it adds. */
  readonly summary: string;
  /** The points it provides. */
  readonly provides: readonly Provision[];
  /** What it can't work without. */
  readonly requires: Requirements;
  /** What it uses when it is there. */
  readonly uses: Requirements;
  /** Starts before these plugins (by instance id or package name), when they are present. */
  readonly before: readonly string[];
  /** Starts after these plugins (by instance id or package name), when they are present. */
  readonly after: readonly string[];
  /** Schema of its config. `undefined` when it takes none. */
  readonly config: z.ZodType | undefined;
}
