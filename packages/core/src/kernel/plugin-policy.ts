import type { CertifiedPlugin } from "../certificate/certified-plugin.ts";
import { VdcError } from "../error/vdc-error.ts";
import type { Plugin } from "../plugin/define-plugin.ts";

/** Which plugins a kernel starts. */
export interface KernelPolicy {
  /**
   * Plugins that are started only when they were certified, and are what was certified: their files, the versions of their contracts, and
   * the signer are checked before their config and their `setup`. Nothing of a plugin in a child process has run by then; of others, the
   * module has: whoever does not want that calls `checkInstalledPlugin` of `@vdc-os/core/certificate` before the import. Defaults to none.
   */
  readonly certified?: readonly CertifiedPlugin[];
  /** What becomes of a plugin that `certified` does not name. Defaults to `allow`. */
  readonly uncertified?: "allow" | "refuse";
}

/** Asks a kernel's policy. */
export class PluginPolicy {
  readonly #certified: readonly CertifiedPlugin[];
  readonly #refusesOthers: boolean;

  constructor({ certified = [], uncertified = "allow" }: KernelPolicy = {}) {
    this.#certified = certified;
    this.#refusesOthers = uncertified === "refuse";
  }

  /** `undefined` when the plugin may start. Otherwise resolves when it may, and rejects with the reason why it may not. */
  ask(plugin: Plugin): Promise<void> | undefined {
    if (this.#certified.length === 0 && !this.#refusesOthers) return undefined;
    const { name } = plugin.manifest;
    const rule = this.#certified.find((candidate) => candidate.plugin === name);
    if (rule !== undefined) return assertCertified(plugin, rule);
    if (!this.#refusesOthers) return undefined;
    return Promise.reject(
      new VdcError(
        "PERMISSION_DENIED",
        `plugin '${name}' may not start: the kernel's policy names no certificate for it`,
        {
          reason: "VDC_CERTIFICATE_MISSING",
          plugin: name,
        },
      ),
    );
  }
}

async function assertCertified(plugin: Plugin, rule: CertifiedPlugin): Promise<void> {
  // Not loaded by the many kernels that ask for no certificate.
  const { checkInstalledPlugin } = await import("../certificate/certified-plugin.ts");
  const points = plugin.manifest.provides.map(({ point: { id, version } }) => ({ id, version }));
  await checkInstalledPlugin(rule, { points });
  if (!(await isOf(rule.module, plugin))) {
    throw new VdcError(
      "PERMISSION_DENIED",
      `plugin '${rule.plugin}' is not what module '${rule.module}' exports, so that its certificate says nothing of it`,
      { reason: "VDC_CERTIFICATE_DIGEST", plugin: rule.plugin },
    );
  }
}

/** Whether a plugin's code is a module's: of one that runs here, that the module exports this very object. */
async function isOf(module: string, plugin: Plugin): Promise<boolean> {
  if (plugin.module !== undefined) return plugin.module === module;
  const exported = (await import(module)) as Readonly<Record<string, unknown>>;
  return Object.values(exported).includes(plugin);
}
