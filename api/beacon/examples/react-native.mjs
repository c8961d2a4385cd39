// Where there is no page: React Native, Electron's main process, a command line tool. Plain HTTP, no dependency.
// const throng = connect({events: 'https://stats.example.org/v1/events', key: 'wk_…', user: 'u-123'});
// throng.track('screen_view', {page: '/story/:id'}); in React Native, call throng.flush() when AppState becomes 'background'.
// Whether a person wants to be counted is the app's to ask: don't connect without it where consent is needed.
export function connect({events: address, key, user, fetch = globalThis.fetch}) {
    const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
    // A source tells retries from other events; no secret hangs on it.
    const source = Array.from({length: 32}, () => letters[Math.floor(Math.random() * letters.length)]).join('');
    let queue = [], seq = 0, pause = 1000, timer = null, flying = null;

    async function send(batch) {
        const sent_at = Date.now();
        const answer = await fetch(address, {
            method: 'POST',
            headers: {'Content-Type': 'application/json'},
            body: JSON.stringify({key, sent_at, source, events: batch}),
        });
        if (answer.status === 429 || answer.status > 499)
            throw new Error(`throng answered ${answer.status}`);
        return answer.json();
    }
    async function drain() {
        while (queue.length > 0) {
            const batch = queue.slice(0, 100);
            try {
                const {rejected} = await send(batch);
                for (const {index, type, field} of rejected ?? [])
                    console.warn('throng rejected', batch[index].name, type, field);
                queue = queue.slice(batch.length);
                pause = 1000;
            } catch {
                timer = setTimeout(flush, pause);
                pause = Math.min(pause * 2, 300000);
                return;
            }
        }
    }
    function flush() {
        clearTimeout(timer);
        timer = null;
        flying ??= drain().finally(() => flying = null);
        return flying;
    }
    return {
        track(name, props = {}) {
            queue.push({name, ts: Date.now(), user, seq: seq++, props});
            timer ??= setTimeout(flush, 2000);
        },
        user(id) {
            user = id;
        },
        flush,
    };
}
