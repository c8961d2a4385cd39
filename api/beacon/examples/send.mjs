// Send one event with Node's own fetch. THRONG_EVENTS is the address of POST /v1/events, THRONG_KEY a key; the argument is the
// user. A request that is tried again keeps its source and seq, so each event counts once; sent_at is set anew.
import {randomBytes} from 'node:crypto';
import {setTimeout as sleep} from 'node:timers/promises';

/** Send events ({name, ts, user, props}); what the server answered. */
export async function send(events, tries = 6) {
    const source = randomBytes(24).toString('base64url');
    for (let n = 0; ; n++) {
        try {
            const answer = await fetch(process.env.THRONG_EVENTS, {
                method: 'POST',
                headers: {'Content-Type': 'application/json', Authorization: `Bearer ${process.env.THRONG_KEY}`},
                body: JSON.stringify({sent_at: Date.now(), source, events: events.map((event, seq) => ({seq, ...event}))}),
                signal: AbortSignal.timeout(10000),
            });
            if (answer.ok)
                return await answer.json();
            if (![429, 503].includes(answer.status))
                throw new TypeError(`throng answered ${answer.status}: ${await answer.text()}`, {cause: 'refused'});
        } catch (error) {
            if (error.cause === 'refused')
                throw error;
        }
        if (n === tries - 1)
            throw new Error('throng could not be reached');
        await sleep(1000 * 2 ** n);
    }
}

console.log(JSON.stringify(await send([{name: 'signup', ts: Date.now(), user: process.argv[2], props: {method: 'email'}}])));
