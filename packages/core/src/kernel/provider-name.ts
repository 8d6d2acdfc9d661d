import type { z } from "zod";
import type { ProviderName } from "../plugin/manifest.ts";
import type { PluginRegistration } from "./plugin-registration.ts";

/** A provider's name, as far as config can tell it: what was given, or else what the schema makes of it (its defaults). */
export function providerName(registration: PluginRegistration, name: ProviderName): string | undefined {
  if (typeof name === "string") return name;
  const given = (registration.config as Record<string, unknown> | undefined)?.[name.fromConfig];
  if (typeof given === "string") return given;
  const schema = registration.plugin.manifest.config;
  try {
    const parsed = schema?.safeParse(registration.config ?? {});
    // Where another key is wrong the whole has no value; the config check will say so, and the name is still known.
    const fields = (schema as { readonly shape?: Readonly<Record<string, z.ZodType>> } | undefined)?.shape;
    const value = parsed?.success
      ? (parsed.data as Record<string, unknown>)[name.fromConfig]
      : fields?.[name.fromConfig]?.safeParse(given).data;
    return typeof value === "string" ? value : undefined;
  } catch {
    // An asynchronous schema: its defaults cannot be known before it runs.
    return undefined;
  }
}
