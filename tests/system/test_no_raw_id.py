"""No raw identifier rests anywhere: a canary goes in through every door, and a byte scan of every store finds none."""
import throng

if __name__ == '__main__':
    throng.main()
