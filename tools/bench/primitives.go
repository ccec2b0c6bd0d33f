// primitives.go: Go's side of tools/bench/primitives; what primitives.hpp says of the other programs holds here, too.
//
// One processor (GOMAXPROCS 1). A channel with room for one is the semaphore, as Go's library has none. The process is never
// one of a single thread, so there is no lock without others.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Time that passed, and CPU time of the whole process: the collector's part is in it. Garbage of before is not.
type stopwatch struct{ wall, cpu int64 }

func (w *stopwatch) start() {
	runtime.GC()
	w.wall = now(1) // CLOCK_MONOTONIC
	w.cpu = now(2)  // CLOCK_PROCESS_CPUTIME_ID
}

func (w *stopwatch) stop() {
	w.cpu = now(2) - w.cpu
	w.wall = now(1) - w.wall
}

func now(clock uintptr) int64 {
	var at syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&at)), 0)
	return at.Nano()
}

func expect(done bool, what string) {
	if !done {
		fmt.Fprintln(os.Stderr, "the work was not done:", what)
		os.Exit(1)
	}
}

func yields(count int, watch *stopwatch) {
	last, changes := 0, 0
	body := func(who int) {
		for i := 0; i < count/2; i++ {
			if last != who {
				changes++
			}
			last = who
			runtime.Gosched()
		}
	}
	end := make(chan struct{})
	watch.start()
	go func() {
		body(2)
		close(end)
	}()
	body(1)
	<-end
	watch.stop()
	expect(changes > count-count/20-2, "the two did not take turns")
}

func spawns(count int, watch *stopwatch) {
	ran := 0
	ended := make(chan struct{}) // 10 % cheaper here than a sync.WaitGroup
	watch.start()
	for i := 0; i < count; i++ {
		go func() {
			ran++
			ended <- struct{}{}
		}()
		<-ended
	}
	watch.stop()
	expect(ran == count, "not every goroutine ran")
}

func roundTrips(count int, watch *stopwatch) {
	there := make(chan struct{}, 1)
	back := make(chan struct{}, 1)
	served, inOrder := 0, 0
	go func() {
		for i := 0; i < count; i++ {
			<-there
			served++
			back <- struct{}{}
		}
	}()
	watch.start()
	for i := 1; i <= count; i++ {
		there <- struct{}{}
		<-back
		if served == i {
			inOrder++
		}
	}
	watch.stop()
	expect(inOrder == count, "a round trip came back early")
}

func handOver(capacity int) func(int, *stopwatch) {
	return func(count int, watch *stopwatch) {
		items := make(chan int32, capacity)
		go func() {
			for i := 1; i <= count; i++ {
				items <- int32(i)
			}
			close(items)
		}()
		sum := int64(0)
		watch.start()
		for item := range items {
			sum += int64(item)
		}
		watch.stop()
		expect(sum == int64(count)*(int64(count)+1)/2, "the items' sum is wrong")
	}
}

func locks(count int, watch *stopwatch) {
	var mutex sync.Mutex
	held := 0
	watch.start()
	for i := 0; i < count; i++ {
		mutex.Lock()
		held++
		mutex.Unlock()
	}
	watch.stop()
	expect(held == count, "not every lock was held")
}

// AfterFunc takes a duration, so it reads the clock each time.
func timers(random bool) func(int, *stopwatch) {
	return func(count int, watch *stopwatch) {
		durations := make([]time.Duration, count)
		state := uint64(1)
		for i := range durations {
			state = state*6364136223846793005 + 1442695040888963407
			at := uint64(i)
			if random {
				at = (state >> 33) % uint64(count)
			}
			durations[i] = time.Hour + time.Duration(at)*time.Microsecond
		}
		timers := make([]*time.Timer, count)
		stopped := 0
		watch.start()
		for i, duration := range durations {
			timers[i] = time.AfterFunc(duration, func() {})
		}
		for _, timer := range timers {
			if timer.Stop() {
				stopped++
			}
		}
		runtime.Gosched() // Stop leaves the timer where it is; the scheduler sweeps them out
		watch.stop()
		expect(stopped == count, "not every timer was stopped")
	}
}

type step struct {
	name string
	run  func(int, *stopwatch)
}

func main() {
	runtime.GOMAXPROCS(1)
	steps := []step{
		{"yield", yields},
		{"spawn", spawns},
		{"semaphore", roundTrips},
		{"rendezvous", handOver(0)},
		{"buffered", handOver(64)},
		{"mutex-threads", locks},
		{"timers", timers(false)},
		{"timers-random", timers(true)},
	}
	if len(os.Args) == 2 && os.Args[1] == "about" {
		fmt.Printf(`{"runtime": "Go %s", "steps": [`, runtime.Version()[len("go"):])
		separator := ""
		for _, one := range steps {
			fmt.Printf("%s%q", separator, one.name)
			separator = ", "
		}
		fmt.Println("]}")
		return
	}
	if len(os.Args) == 3 {
		count, err := strconv.Atoi(os.Args[2])
		for _, one := range steps {
			if err != nil || count <= 0 || one.name != os.Args[1] {
				continue
			}
			var watch stopwatch
			one.run(count, &watch)
			one.run(count, &watch)
			fmt.Printf(`{"step": %q, "count": %d, "cpu_ns": %.3f, "wall_ns": %.3f}`+"\n", one.name, count,
				float64(watch.cpu)/float64(count), float64(watch.wall)/float64(count))
			return
		}
	}
	fmt.Fprintf(os.Stderr, "usage: %s about | STEP COUNT, where `about` tells the steps\n", os.Args[0])
	os.Exit(2)
}
