// When somebody who opens a page can type. Usage: node page.mjs PLAYWRIGHT CHROMIUM ADDRESS
// Writes for each of nine visits the milliseconds of Navigation Timing Level 2 and of the first paint.
import { createRequire } from "node:module";

const [playwright, executablePath, address] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(playwright);
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const visits = [];
for (let visit = 0; visit < 9; visit += 1) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  await page.goto(address, { waitUntil: "load" });
  await page.locator("#username").fill("somebody");
  // It is told a moment after it was seen.
  await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
  visits.push(await page.evaluate(() => {
    const [{ domInteractive, loadEventEnd }] = performance.getEntriesByType("navigation");
    const painted = performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
    return { interactive: domInteractive, loaded: loadEventEnd, painted };
  }));
  visits.at(-1).browser = `Chromium ${browser.version()}`;
  await context.close();
}
await browser.close();
console.log(JSON.stringify(visits));
