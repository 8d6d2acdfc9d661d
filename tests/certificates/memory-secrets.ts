import { createOperationContext, definePlugin, provides } from "@vdc-os/core";
import { type PluginRegistration, use } from "@vdc-os/core/kernel";
import { secretStore } from "@vdc-os/core/secret/v1";
import { MemorySecretStore } from "@vdc-os/ready/secret";

/** A secret store that has these secrets, and keeps them over restarts of kernels. */
export async function memorySecrets(secrets: Readonly<Record<string, string>>): Promise<PluginRegistration> {
  const store = new MemorySecretStore();
  for (const [name, value] of Object.entries(secrets)) await store.put({ name, value }, createOperationContext());
  const plugin = definePlugin({
    name: "memory-secrets",
    version: "1.0.0",
    core: "0.1",
    summary: "What a plugin that is being certified works with.",
    provides: [provides(secretStore, { name: "secrets" })],
    setup(context) {
      context.provide(secretStore, store, { name: "secrets" });
    },
  });
  return use(plugin);
}
