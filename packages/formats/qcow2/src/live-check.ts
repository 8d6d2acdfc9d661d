import { type CheckResult, checkResult, type LiveCheckOptions } from "./check.ts";
import { type ImageCore, prepareWriter, reloadImageCore } from "./image-core.ts";
import { type RepairMode, repairFile } from "./repair.ts";
import { surveyImage } from "./survey.ts";

/** Checks an image that is open. One that is written keeps still while it is looked at. */
export async function checkLive(core: ImageCore, options: LiveCheckOptions): Promise<CheckResult> {
  core.writer?.barrier.flushAllSync();
  const survey = await surveyImage(core.file, core.header, { ...options, yields: core.writer === undefined });
  return checkResult(survey, core.header, 0);
}

/** Repairs an image that is open for writing, and reads its tables again. */
export async function repairLive(core: ImageCore, mode: RepairMode, options: LiveCheckOptions): Promise<CheckResult> {
  const { header } = core;
  prepareWriter(core).barrier.flushAllSync();
  const { found, repaired } = await repairFile(core.file, header, mode, { ...options, yields: false });
  reloadImageCore(core);
  return checkResult(found, header, repaired);
}
